//! A price as a sweep names it.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::price::Price;

/// An entry of a sweep's `prices`: a table, or the name of a built-in price or file.
#[derive(Deserialize)]
pub(crate) struct Entry(#[serde(deserialize_with = "written_or_named")] Price);

impl Entry {
    /// For a sweep's list.
    pub(crate) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Price>, D::Error> {
        Ok(Vec::<Self>::deserialize(deserializer)?.into_iter().map(|entry| entry.0).collect())
    }
}

fn written_or_named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Price, D::Error> {
    struct Either;
    impl<'de> Visitor<'de> for Either {
        type Value = Price;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("the name of a price, or a table with one")
        }

        fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Price, E> {
            Price::open(name).map_err(E::custom)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Price, A::Error> {
            Price::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_any(Either)
}
