//! JSON Schemas of what evenkeel reads and says. They are draft-07, which editors understand best; the files in
//! `schemas/` are these texts.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::control::publish::Status;
use crate::manifest;
use crate::model::event::Event;
use crate::rehearsal::report::Rehearsal;
use crate::settings::Settings;

/// A document that there is a schema of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Document {
    /// A Compose file, with `x-evenkeel`
    Manifest,
    /// The controller's own settings, `evenkeel.yaml`
    Settings,
    /// An event
    Event,
    /// What `status --format json` prints
    Status,
    /// What `rehearse --format json` prints
    Rehearsal,
}

impl Document {
    /// All documents.
    pub const ALL: [Self; 5] = [Self::Manifest, Self::Settings, Self::Event, Self::Status, Self::Rehearsal];

    /// The name on the command line; the file is `schemas/NAME.schema.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Settings => "settings",
            Self::Event => "event",
            Self::Status => "status",
            Self::Rehearsal => "rehearsal",
        }
    }

    /// The JSON Schema of the document, as data.
    pub fn schema(self) -> Value {
        match self {
            Self::Manifest => manifest::json_schema(),
            Self::Settings => derived::<Settings>(SchemaSettings::draft07().for_deserialize()),
            Self::Event => derived::<Event>(SchemaSettings::draft07().for_serialize()),
            Self::Status => derived::<Status<'_>>(SchemaSettings::draft07().for_serialize()),
            Self::Rehearsal => derived::<Rehearsal>(SchemaSettings::draft07().for_serialize()),
        }
    }

    /// The schema as text.
    pub fn text(self) -> String {
        format!("{:#}\n", self.schema())
    }
}

fn derived<T: JsonSchema>(settings: SchemaSettings) -> Value {
    settings.into_generator().into_root_schema_for::<T>().to_value()
}
