//! Backbones in plans and results: a table of settings under the name of its kind, for every kind of
//! [`mcnn::backbone::KINDS`] that has settings.

use std::{collections::BTreeMap, fmt};

use mcnn::backbone::{Architecture, BackboneKind, KINDS};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeSeed, Error, IntoDeserializer, MapAccess, Visitor},
    ser::SerializeMap,
};

/// The name of a kind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BackboneName(&'static str);

impl BackboneName {
    /// An MLP.
    pub fn mlp() -> Self {
        Self("mlp")
    }

    /// The kind.
    pub fn kind(self) -> &'static BackboneKind {
        BackboneKind::named(self.0).expect("the name of a kind")
    }
}

impl fmt::Debug for BackboneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Serialize for BackboneName {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for BackboneName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        let kind = BackboneKind::named(&name).ok_or_else(|| {
            let known: Vec<String> = BackboneKind::names().map(|name| format!("`{name}`")).collect();
            D::Error::custom(format!("unknown variant `{name}`, expected one of {}", known.join(", ")))
        })?;
        Ok(Self(kind.name))
    }
}

/// Settings by kind, in the order of [`KINDS`]. A kind without an entry has its defaults.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BackboneTables(Vec<(&'static str, Architecture)>);

impl BackboneTables {
    /// The settings of a kind.
    pub fn settings(&self, kind: &BackboneKind) -> Architecture {
        self.get(kind.name).cloned().unwrap_or_else(|| kind.default_settings())
    }

    /// The same with an entry for every kind that has settings. Copies share them.
    pub fn with_defaults(&self) -> Self {
        Self(
            KINDS
                .iter()
                .filter(|kind| has_settings(kind))
                .map(|kind| (kind.name, self.settings(kind)))
                .collect(),
        )
    }

    /// The entry of one kind alone.
    pub fn only(&self, kind: &BackboneKind) -> Self {
        Self(self.0.iter().filter(|(name, _)| *name == kind.name).cloned().collect())
    }

    fn get(&self, name: &str) -> Option<&Architecture> {
        self.0.iter().find(|(own, _)| *own == name).map(|(_, settings)| settings)
    }

    /// Adds a table. `value`: the settings; `null` for none.
    fn add<E: Error>(&mut self, kind: &'static BackboneKind, value: serde_json::Value) -> Result<(), E> {
        if !value.is_null() {
            self.0.push((kind.name, kind.settings_from_json(value).map_err(E::custom)?));
        }
        Ok(())
    }
}

/// Whether a kind has settings: then plans and results have a key of its name.
pub fn has_settings(kind: &BackboneKind) -> bool {
    kind.default_settings().to_json() != "null"
}

fn kind_of_key(key: &str) -> Option<&'static BackboneKind> {
    BackboneKind::named(key).filter(|kind| has_settings(kind))
}

/// The settings of an architecture as JSON.
struct Table<'a>(&'a Architecture);

impl Serialize for Table<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize_settings(to)
    }
}

impl Serialize for BackboneTables {
    /// A key for every kind that has settings, `null` without an entry.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let kinds: Vec<_> = KINDS.iter().filter(|kind| has_settings(kind)).collect();
        let mut map = to.serialize_map(Some(kinds.len()))?;
        for kind in kinds {
            map.serialize_entry(kind.name, &self.get(kind.name).map(Table))?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for BackboneTables {
    /// From the keys of kinds; all others are ignored.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let map = BTreeMap::<String, serde_json::Value>::deserialize(from)?;
        let mut tables = Self::default();
        for (key, value) in map {
            if let Some(kind) = kind_of_key(&key) {
                tables.add(kind, value)?;
            }
        }
        Ok(tables)
    }
}

/// A value of a plan without the tables of backbones, and these tables. Errors have the place of the key or the table.
pub struct WithTables<T> {
    pub plan: T,
    pub tables: BackboneTables,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for WithTables<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Outer<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Outer<T> {
            type Value = WithTables<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a plan")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WithTables<T>, A::Error> {
                let mut tables = BackboneTables::default();
                let others = Others { map, tables: &mut tables };
                let plan = T::deserialize(serde::de::value::MapAccessDeserializer::new(others))?;
                Ok(WithTables { plan, tables })
            }
        }

        from.deserialize_map(Outer(std::marker::PhantomData))
    }
}

/// The keys of a map that are not the names of kinds. The tables under those names are put aside.
struct Others<'a, A> {
    map: A,
    tables: &'a mut BackboneTables,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Others<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let mut seed = Some(seed);
        loop {
            match self.map.next_key_seed(Key(&mut seed))? {
                None => return Ok(None),
                Some(Found::Other(value)) => return Ok(Some(value)),
                Some(Found::Kind(kind)) => self.map.next_value_seed(Tables { kind, into: self.tables })?,
            }
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

enum Found<T> {
    Kind(&'static BackboneKind),
    Other(T),
}

struct Key<'a, K>(&'a mut Option<K>);

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for Key<'_, K> {
    type Value = Found<K::Value>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        let key = String::deserialize(from)?;
        match kind_of_key(&key) {
            Some(kind) => Ok(Found::Kind(kind)),
            None => {
                let seed = self.0.take().expect("one key that is of no kind");
                seed.deserialize(key.into_deserializer()).map(Found::Other)
            }
        }
    }
}

struct Tables<'a> {
    kind: &'static BackboneKind,
    into: &'a mut BackboneTables,
}

impl<'de> DeserializeSeed<'de> for Tables<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        self.into.add(self.kind, serde_json::Value::deserialize(from)?)
    }
}
