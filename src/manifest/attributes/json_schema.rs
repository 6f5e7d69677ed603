//! The JSON Schema of a Compose file with `x-evenkeel`, for editors: read off the tables that files are checked against.
//!
//! It is draft-07, which editors understand best. It accepts whatever the check accepts. Where a word or a pattern is
//! wanted a variable may stand as well, as the check comes after interpolation; where a number or a truth is wanted the
//! tables say themselves whether text will do.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{FILE, Keys, Layout, PROJECT_EXTENSION, SERVICE, SERVICE_EXTENSION, Shape, Type, about};

/// The JSON Schema of a manifest, made from the table of attributes.
pub fn json_schema() -> Value {
    let mut generator = Generator::default();
    let mut schema = generator.object(&FILE);
    if let Value::Object(root) = &mut schema {
        root.insert("$schema".into(), "http://json-schema.org/draft-07/schema#".into());
        root.insert("title".into(), "evenkeel manifest".into());
        root.insert("description".into(), "A Compose file, with what evenkeel reads under `x-evenkeel`.".into());
        root.insert("definitions".into(), generator.definitions.into_iter().collect::<Map<_, _>>().into());
    }
    schema
}

/// Where a variable stands in a text.
const VARIABLE: &str = r"\$";

#[derive(Default)]
struct Generator {
    definitions: BTreeMap<String, Value>,
}

impl Generator {
    fn object(&mut self, layout: &'static Layout) -> Value {
        let mut properties = Map::default();
        for field in layout.fields {
            let mut value = self.shape(&field.shape);
            if let (Some(words), Value::Object(value)) = (about(layout.name, field.key), &mut value) {
                value.insert("description".into(), words.into());
            }
            properties.insert(field.key.to_owned(), value);
        }
        if let Some(extension) = extension(layout) {
            let mut value = json!({"anyOf": [self.reference(extension), {"type": "null"}]});
            value["description"] = "What evenkeel is told beyond Compose; Compose passes it over.".into();
            properties.insert("x-evenkeel".into(), value);
        }
        let mut schema = json!({"type": "object", "properties": properties});
        if layout.extensible {
            schema["patternProperties"] = json!({"^x-": {}});
        }
        if !layout.open {
            schema["additionalProperties"] = false.into();
        }
        if !layout.required.is_empty() {
            schema["required"] = json!(layout.required);
        }
        schema
    }

    /// A reference to a layout's definition, which is made the first time. No two layouts have one name.
    fn reference(&mut self, layout: &'static Layout) -> Value {
        let name = layout.name.replace(' ', "_");
        if !self.definitions.contains_key(&name) {
            // Marked first: a layout may contain itself.
            self.definitions.insert(name.clone(), Value::Null);
            let definition = self.object(layout);
            self.definitions.insert(name.clone(), definition);
        }
        json!({"$ref": format!("#/definitions/{name}")})
    }

    fn shape(&mut self, shape: &Shape) -> Value {
        match shape {
            Shape::Any => json!({}),
            Shape::Is([one]) => json!({"type": name(*one)}),
            Shape::Is(types) => json!({"type": types.iter().map(|t| name(*t)).collect::<Vec<_>>()}),
            Shape::Word(words) => json!({"anyOf": [{"enum": words}, {"type": "string", "pattern": VARIABLE}]}),
            Shape::Matches(pattern) => json!({"type": "string", "pattern": format!("{}|{VARIABLE}", pattern.regex)}),
            Shape::Within(least, i64::MAX) => json!({"type": "integer", "minimum": least}),
            Shape::Within(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
            Shape::List(inner, unique) => {
                let mut schema = json!({"type": "array", "items": self.shape(inner)});
                if *unique {
                    schema["uniqueItems"] = true.into();
                }
                schema
            }
            Shape::Map(keys, inner) => {
                let pattern = match keys {
                    Keys::Any => ".+",
                    Keys::Names | Keys::NamesOrAnything => "^[a-zA-Z0-9._-]+$",
                    Keys::LowerOrAnything => "^[a-z]+$",
                };
                let mut schema = json!({"type": "object", "patternProperties": {pattern: self.shape(inner)}});
                if matches!(keys, Keys::Names) {
                    schema["additionalProperties"] = false.into();
                }
                schema
            }
            Shape::Object(layout) => self.reference(layout),
            Shape::OneOf(shapes) => json!({"anyOf": shapes.iter().map(|s| self.shape(s)).collect::<Vec<_>>()}),
        }
    }
}

/// What stands under `x-evenkeel` in an object.
fn extension(layout: &'static Layout) -> Option<&'static Layout> {
    if std::ptr::eq(layout, &raw const FILE) {
        Some(&PROJECT_EXTENSION)
    } else if std::ptr::eq(layout, &raw const SERVICE) {
        Some(&SERVICE_EXTENSION)
    } else {
        None
    }
}

fn name(one: Type) -> &'static str {
    match one {
        Type::Null => "null",
        Type::Bool => "boolean",
        Type::Int => "integer",
        Type::Number => "number",
        Type::Text => "string",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::attributes::WORDS;

    /// Every layout that can be reached from a shape.
    fn layouts(shape: &Shape, found: &mut Vec<&'static Layout>) {
        match shape {
            Shape::Object(layout) if !found.iter().any(|l| std::ptr::eq(*l, *layout)) => {
                found.push(layout);
                layout.fields.iter().for_each(|f| layouts(&f.shape, found));
            }
            Shape::List(inner, _) | Shape::Map(_, inner) => layouts(inner, found),
            Shape::OneOf(shapes) => shapes.iter().for_each(|s| layouts(s, found)),
            _ => {}
        }
    }

    fn all() -> Vec<&'static Layout> {
        let mut found = Vec::new();
        for root in [&FILE, &PROJECT_EXTENSION, &SERVICE_EXTENSION] {
            layouts(&Shape::Object(root), &mut found);
        }
        found
    }

    #[test]
    fn every_key_of_the_tables_is_in_the_schema_and_every_required_one_exists() {
        let schema = json_schema();
        let all = all();
        let definitions = schema["definitions"].as_object().unwrap();
        assert_eq!(definitions.len(), all.len() - 1, "one definition for each layout, and the file itself");
        for layout in all {
            let definition = match layout.name {
                "file" => &schema,
                name => &definitions[&name.replace(' ', "_")],
            };
            let properties = definition["properties"].as_object().unwrap();
            let extended = usize::from(properties.contains_key("x-evenkeel"));
            assert_eq!(properties.len(), layout.fields.len() + extended, "{}", layout.name);
            for key in layout.fields.iter().map(|f| f.key).chain(layout.required.iter().copied()) {
                assert!(properties.contains_key(key), "{}.{key}", layout.name);
            }
            assert_eq!(definition.get("additionalProperties").is_none(), layout.open, "{}", layout.name);
        }
    }

    #[test]
    fn no_two_layouts_have_one_name() {
        let mut names: Vec<_> = all().iter().map(|l| l.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "{names:?}");
    }

    #[test]
    fn what_is_said_about_keys_is_about_keys_that_exist() {
        let all = all();
        for (name, keys) in WORDS {
            let layout = all.iter().find(|l| l.name == *name).unwrap_or_else(|| panic!("no layout {name}"));
            for (key, words) in *keys {
                assert!(layout.field(key).is_some(), "{name}.{key}");
                assert!(words.ends_with('.') && !words.contains('\n'), "{name}.{key}: {words}");
            }
        }
        for field in FILE.fields.iter().chain(PROJECT_EXTENSION.fields).chain(SERVICE_EXTENSION.fields) {
            let name = if FILE.field(field.key).is_some() { "file" } else { "" };
            assert!(name.is_empty() || about(name, field.key).is_some(), "{}", field.key);
        }
    }
}
