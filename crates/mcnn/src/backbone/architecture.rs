//! A backbone's settings of any kind, as one value and in JSON.

use std::{fmt, ops::Deref, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeMap};

use super::{BackboneKind, BackboneSettings, Describe, mlp::MlpSettings};

/// Which backbone, with its settings. In JSON it is the name of the kind, or an object with that name and the settings.
#[derive(Clone)]
pub struct Architecture(Arc<dyn BackboneSettings>);

impl<S: Describe> From<S> for Architecture {
    fn from(settings: S) -> Self {
        Self(Arc::new(settings))
    }
}

impl Default for Architecture {
    /// A perceptron.
    fn default() -> Self {
        MlpSettings.into()
    }
}

impl Deref for Architecture {
    type Target = dyn BackboneSettings;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq for Architecture {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name() && self.to_json() == other.to_json()
    }
}

impl Architecture {
    /// Serializes the settings without the name of the kind.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize_settings<T: Serializer>(&self, to: T) -> std::result::Result<T::Ok, T::Error> {
        // Through text, so that keys keep their order and f32 their shortest form.
        match serde_json::from_str::<Option<Fields>>(&self.to_json()).expect("settings are an object or null")
        {
            Some(fields) => fields.serialize(to),
            None => to.serialize_unit(),
        }
    }
}

/// The settings of an architecture, to be serialized.
struct SettingsOf<'a>(&'a Architecture);

impl Serialize for SettingsOf<'_> {
    fn serialize<T: Serializer>(&self, to: T) -> std::result::Result<T::Ok, T::Error> {
        self.0.serialize_settings(to)
    }
}

impl Serialize for Architecture {
    fn serialize<T: Serializer>(&self, to: T) -> std::result::Result<T::Ok, T::Error> {
        if self.to_json() == "null" {
            return to.serialize_str(self.name());
        }
        let mut map = to.serialize_map(Some(1))?;
        map.serialize_entry(self.name(), &SettingsOf(self))?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Architecture {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        use serde::de::Error as _;
        let (name, settings) = match serde_json::Value::deserialize(from)? {
            serde_json::Value::String(name) => (name, serde_json::Value::Null),
            serde_json::Value::Object(map) if map.len() == 1 => map.into_iter().next().expect("one key"),
            _ => return Err(D::Error::custom("a backbone is a name, or an object of a name and settings")),
        };
        let kind = BackboneKind::named(&name);
        let kind = kind.ok_or_else(|| D::Error::custom(format!("no backbone is called {name:?}")))?;
        kind.settings_from_json(settings).map_err(D::Error::custom)
    }
}

/// The keys of a JSON object with their values, in the order of its text.
struct Fields(Vec<(String, serde_json::Value)>);

impl Serialize for Fields {
    fn serialize<T: Serializer>(&self, to: T) -> std::result::Result<T::Ok, T::Error> {
        to.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct Visitor;

        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        from.deserialize_map(Visitor)
    }
}
