//! What references to images stand for, as far as they were looked up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::time::Instant;

use super::interest::Interest;
use crate::model::fields::Fields;
use crate::model::observed::Image;
use crate::model::{ImageId, Project};

/// References and what the Engine has under them.
#[derive(Debug, Default)]
pub(in crate::control) struct Images(BTreeMap<String, LookedUp>);

/// What the Engine has under a reference.
#[derive(Debug)]
struct LookedUp {
    image: Option<ImageId>,
    /// What it contributes to containers.
    fields: Arc<Fields>,
    /// Paths at which it gives them a volume.
    volumes: BTreeSet<String>,
    /// When that was looked up.
    at: Instant,
    /// Something happened to some image since.
    doubtful: bool,
}

impl Images {
    /// What an image reference means; `None`: not looked up.
    pub(in crate::control) fn get(&self, reference: &str) -> Option<&Option<ImageId>> {
        self.0.get(reference).map(|known| &known.image)
    }

    /// Remembers what an image reference means.
    pub(in crate::control) fn set(&mut self, reference: &str, image: Option<Image>) {
        let (image, fields, volumes) = match image {
            Some(image) => (Some(image.id), image.fields, image.volumes),
            None => Default::default(),
        };
        // Whoever compared with the same before need not do so again.
        let before = self.0.get(reference).filter(|known| *known.fields == fields);
        let fields = before.map_or_else(|| Arc::new(fields), |known| Arc::clone(&known.fields));
        self.0.insert(reference.to_owned(), LookedUp { image, fields, volumes, at: Instant::now(), doubtful: false });
    }

    /// What an image contributes to containers, where it still is what a reference means.
    pub(in crate::control) fn fields(&self, reference: &str, image: &ImageId) -> Option<Arc<Fields>> {
        let known = self.0.get(reference).filter(|known| known.image.as_ref() == Some(image))?;
        Some(Arc::clone(&known.fields))
    }

    /// The paths at which an image gives its containers a volume.
    pub(in crate::control) fn volumes(&self, reference: &str) -> BTreeSet<String> {
        self.0.get(reference).map(|known| known.volumes.clone()).unwrap_or_default()
    }

    /// Forgets references that nobody uses, and says which of the others were last looked up before this time, the
    /// longest ago first.
    pub(in crate::control) fn before(&mut self, time: Instant, interest: &Interest) -> Vec<String> {
        self.0.retain(|reference, _| interest.of_image(reference).next().is_some());
        let mut old: Vec<_> = self.0.iter().filter(|(_, known)| known.at < time).collect();
        old.sort_by_key(|(_, known)| known.at);
        old.into_iter().map(|(reference, _)| reference.clone()).collect()
    }

    /// Something happened to some image: until they are looked up again nothing is made from any.
    pub(in crate::control) fn doubt_all(&mut self) {
        self.0.values_mut().for_each(|known| known.doubtful = true);
    }

    /// The same of one reference.
    pub(in crate::control) fn doubt(&mut self, reference: &str) {
        if let Some(known) = self.0.get_mut(reference) {
            known.doubtful = true;
        }
    }

    /// Whether something happened since this reference was looked up.
    pub(in crate::control) fn is_doubtful(&self, reference: &str) -> bool {
        self.0.get(reference).is_some_and(|known| known.doubtful)
    }

    /// All references that were looked up.
    pub(in crate::control) fn references(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// What a target's references stand for: those that were looked up since anything happened to an image.
    pub(in crate::control) fn of_target(&self, target: Option<&Project>) -> BTreeMap<String, Option<ImageId>> {
        let services = target.into_iter().flat_map(|p| p.services.values());
        let known = services.filter_map(|s| {
            let known = self.0.get(&s.image).filter(|known| !known.doubtful)?;
            Some((s.image.clone(), known.image.clone()))
        });
        known.collect()
    }
}
