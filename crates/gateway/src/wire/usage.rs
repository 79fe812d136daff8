//! What providers say that they have counted.

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use std::{fmt, marker::PhantomData};

/// The counts of an answer in the words of all dialects; each reads its own. What is missing, or is no number, is 0.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Usage {
    // OpenAI chat completions.
    pub(super) prompt_tokens: Lax<u64>,
    pub(super) completion_tokens: Lax<u64>,
    pub(super) prompt_tokens_details: Lax<Details>,
    pub(super) completion_tokens_details: Lax<Details>,
    pub(super) prompt_cache_hit_tokens: Lax<u64>,
    // Responses and Anthropic.
    pub(super) input_tokens: Lax<u64>,
    pub(super) output_tokens: Lax<u64>,
    pub(super) input_tokens_details: Lax<Details>,
    pub(super) output_tokens_details: Lax<Details>,
    pub(super) cache_read_input_tokens: Lax<u64>,
    pub(super) cache_creation_input_tokens: Lax<u64>,
    // Gemini.
    #[serde(rename = "promptTokenCount")]
    pub(super) prompt: Lax<u64>,
    #[serde(rename = "toolUsePromptTokenCount")]
    pub(super) tool_prompt: Lax<u64>,
    #[serde(rename = "cachedContentTokenCount")]
    pub(super) cached_content: Lax<u64>,
    #[serde(rename = "candidatesTokenCount")]
    pub(super) candidates: Lax<u64>,
    #[serde(rename = "thoughtsTokenCount")]
    pub(super) thoughts: Lax<u64>,
}

/// Parts of a count.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Details {
    pub(super) cached_tokens: Lax<u64>,
    pub(super) reasoning_tokens: Lax<u64>,
}

/// What is read where it is as it should be, and left out where it is not.
#[derive(Debug, Default)]
pub(super) struct Lax<T>(pub(super) T);

/// What can be read so.
pub(super) trait Read: Default {
    fn of_number(_number: u64) -> Self {
        Self::default()
    }

    fn of_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
}

impl Read for u64 {
    fn of_number(number: u64) -> Self {
        number
    }
}

impl Read for Details {
    fn of_map<'de, A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        Self::deserialize(MapAccessDeserializer::new(map))
    }
}

impl<'de, T: Read> Deserialize<'de> for Lax<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Laxly(PhantomData)).map(Self)
    }
}

struct Laxly<T>(PhantomData<T>);

impl<'de, T: Read> Visitor<'de> for Laxly<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        Ok(T::of_number(number))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::of_map(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<T, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(T::default())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Ok(T::default())
    }
}
