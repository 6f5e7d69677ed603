//! `use_api_socket`, which the Engine does not know: a mount, a variable and a config stand for it, as with Compose.

use crate::manifest::bind::api_socket::{FOLDER, KEY, SOCKET};
use crate::model::project::{FileObject, Project};
use crate::model::service::{FileReference, Mount, MountSource};

/// Adds what the attribute stands for. The credentials of registries are none: evenkeel keeps none.
pub(super) fn expand(project: &mut Project) {
    let mut used = false;
    for service in project.services.values_mut().filter(|s| s.use_api_socket) {
        used = true;
        service.mounts.push(Mount {
            target: SOCKET.into(),
            source: MountSource::Bind {
                path: SOCKET.into(),
                create: true,
                propagation: None,
                selinux: None,
                recursive: None,
            },
            read_only: false,
            consistency: None,
            volume: None,
        });
        service.environment.entry("DOCKER_CONFIG".into()).or_insert_with(|| Some(FOLDER.into()));
        service.configs.push(FileReference {
            source: KEY.into(),
            target: Some(format!("{FOLDER}/config.json")),
            ..FileReference::default()
        });
    }
    if used {
        let content = Some("{\n\t\"auths\": {}\n}".to_owned());
        project.configs.insert(KEY.into(), FileObject { name: KEY.into(), content, ..FileObject::default() });
    }
}
