//! What is refused as `unsupported`: this list, and no more. The documentation has the same.

use super::loading::load;

/// A file with one thing that is refused, where, and the words of the documentation.
const REFUSED: [(&str, &str, &str); 8] = [
    ("services: {a: {image: x, configs: [c]}}\nconfigs: {c: {external: true}}", "2:25", "`configs.*.external`"),
    ("services: {a: {image: x, secrets: [s]}}\nsecrets: {s: {external: true}}", "2:25", "`secrets.*.external`"),
    ("services: {a: {image: x, secrets: [s]}}\nsecrets: {s: {file: f, driver: d}}", "2:32", "`secrets.*.driver`"),
    ("services: {a: {image: x, configs: [c]}}\nconfigs: {c: {file: f, template_driver: d}}", "2:41", "template_driver"),
    ("services: {a: {provider: {type: t}}}", "1:26", "`services.*.provider`"),
    ("services: {a: {image: x, models: [m]}}\nmodels: {m: {model: m}}", "1:34", "`services.*.models`"),
    ("include: ['oci://registry/app:1']\nservices: {a: {image: x}}", "1:11", "`include`"),
    ("services: {a: {extends: {file: 'https://host/x.git', service: b}}}", "1:32", "`extends`"),
];

#[test]
fn what_is_refused_has_its_place_and_is_documented() {
    let documented = include_str!("../../../docs/compose.md");
    let table = documented.split("## What is refused").nth(1).unwrap().split("## ").next().unwrap();
    for (text, place, words) in REFUSED {
        let folder = load(&[("shop.yaml", text)], &[]);
        let found: Vec<_> = folder.diagnostics().filter(|d| d.code == "unsupported").collect();
        assert_eq!(found.len(), 1, "{text}: {}", folder.lines());
        assert_eq!(format!("{}:{}", found[0].place.line, found[0].place.col), place, "{text}");
        assert!(table.contains(words), "docs/compose.md does not name {words}");
    }
    assert_eq!(table.lines().filter(|l| l.starts_with("| `")).count(), 5, "rows that no file here shows");
}

#[test]
fn nothing_else_is_refused() {
    // The sources say the word in as many places as there are reasons above.
    let count = |folder: &str| {
        let mut found = 0;
        let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found += std::fs::read_to_string(path).unwrap().matches("\"unsupported\"").count();
                }
            }
        }
        found
    };
    assert_eq!(count("src/manifest"), 5, "another reason to refuse: name it in docs/compose.md and above");
}

#[test]
fn the_documentation_names_every_code() {
    let documented = include_str!("../../../docs/compose.md");
    let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manifest")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for call in ["report.error(", "report.warning(", "Diagnostic::file("] {
                for (at, _) in text.match_indices(call) {
                    // The code is the second argument.
                    let call: String = text[at..].chars().take(160).collect();
                    let Some(code) = call.split(", \"").nth(1).and_then(|rest| rest.split("\",").next()) else {
                        continue;
                    };
                    let is_code = !code.is_empty() && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
                    let known = documented.contains(&format!("`{code}`"));
                    assert!(!is_code || known, "{}: docs/compose.md does not name `{code}`", path.display());
                }
            }
        }
    }
}
