//! What a run costs, in dollars. Always dated and sourced: a price without a date is a magic constant.
//!
//! Three ways to pay, one of them in each price file (`harness/prices/*.toml`, or a person's own):
//!
//! | way | dollars of a request |
//! |---|---|
//! | rented | device hours x list price |
//! | owned | device hours x ((price - resale) / (life x utilisation) + watts / 1000 x PUE x dollars per kWh) |
//! | api | prompt, cached prompt and sampled tokens, each at its price per million |
//!
//! Utilisation is the largest lever of owning: a machine that computes one hour in ten costs ten times as much an hour.
//! An API reads a problem's prompt once at the full price; the other n - 1 requests find it cached, if there is a
//! cached price. What a verifier or reward model takes is charged to the cells that use it ([`Verifier`]).

use std::path::Path;

use serde::{Deserialize, Serialize};

const HOURS_PER_YEAR: f64 = 8766.0;

/// The prices that are built in.
const BUILT_IN: [(&str, &str); 5] = [
    ("small-cloud-cpu", include_str!("prices/small-cloud-cpu.toml")),
    ("h100-rented", include_str!("prices/h100-rented.toml")),
    ("h100-owned", include_str!("prices/h100-owned.toml")),
    ("workstation-owned", include_str!("prices/workstation-owned.toml")),
    ("reasoning-api-2025", include_str!("prices/reasoning-api-2025.toml")),
];

/// A way to pay, with its date. Exactly one of `usd_per_device_hour`, `owned` and `api` is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Name in tables; the device's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is rented, owned or called.
    pub device: String,
    /// Dollars for an hour of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_per_device_hour: Option<f64>,
    /// A machine of one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned: Option<Owned>,
    /// Somebody else's, by the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Api>,
    /// Where the number comes from.
    pub source: String,
    /// The day it was valid, `YYYY-MM-DD`.
    pub date: String,
}

/// A machine of one's own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owned {
    /// What it cost, with its share of the host, in dollars.
    pub price_usd: f64,
    /// What it will be sold for, in dollars.
    pub resale_usd: f64,
    /// Years until then.
    pub life_years: f64,
    /// Share of those years in which it computes, in (0, 1].
    pub utilisation: f64,
    /// Power drawn while it computes, in watts.
    pub power_w: f64,
    /// Power of the whole building over that of the machines (power usage effectiveness), from 1.
    pub pue: f64,
    /// Dollars for a kilowatt-hour.
    pub usd_per_kwh: f64,
}

/// Prices by the million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Prompt tokens.
    pub usd_per_million_input: f64,
    /// Prompt tokens that were sent before; the price of input if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_per_million_cached_input: Option<f64>,
    /// Sampled tokens, reasoning and answer alike.
    pub usd_per_million_output: f64,
}

/// What a verifier or reward model takes for each answer that it looks at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verifier {
    /// Device seconds.
    #[serde(default)]
    pub device_s_per_answer: f64,
    /// Dollars, whatever the device costs.
    #[serde(default)]
    pub usd_per_answer: f64,
    /// Where the numbers come from.
    pub source: String,
}

/// What n completions of one problem used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Device seconds, the prompt read once.
    pub device_s: f64,
    /// Completions.
    pub n: f64,
    /// Tokens of the prompt.
    pub prompt_tokens: f64,
    /// Tokens sampled in all completions.
    pub sampled_tokens: f64,
}

impl Price {
    /// The built-in price of that name, else the file at that path.
    ///
    /// # Errors
    /// One line with the name or file and the remedy.
    pub fn open(name: &str) -> Result<Self, String> {
        if let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
            return Self::parse(name, text);
        }
        let text = std::fs::read_to_string(Path::new(name)).map_err(|error| {
            let known = BUILT_IN.map(|(known, _)| known).join(", ");
            format!("price {name}: {error}: it is neither a file nor built in ({known})")
        })?;
        Self::parse(name, &text)
    }

    /// Reads and checks a price's TOML; `name` stands for it in messages and in tables.
    ///
    /// # Errors
    /// One line with the name and the remedy.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let malformed = |message: String| format!("price {name}: {message}: mend the file");
        let mut price: Self = toml::from_str(text)
            .map_err(|error| malformed(crate::toml_message::toml_message(text, &error)))?;
        price.check().map_err(malformed)?;
        price.name.get_or_insert_with(|| file_stem(name));
        Ok(price)
    }

    /// Whether the numbers make sense, else what is wrong.
    ///
    /// # Errors
    /// The complaint, without the name of the file.
    pub fn check(&self) -> Result<(), String> {
        let ways = [self.usd_per_device_hour.is_some(), self.owned.is_some(), self.api.is_some()];
        if ways.iter().filter(|is_given| **is_given).count() != 1 {
            return Err("give exactly one of usd_per_device_hour, [owned] and [api]".into());
        }
        if !is_date(&self.date) {
            return Err(format!("date {:?} is not YYYY-MM-DD", self.date));
        }
        let is_amount = |usd: f64| usd >= 0.0 && usd.is_finite();
        if !self.amounts().into_iter().all(is_amount) {
            return Err("a price is a number from 0".into());
        }
        self.owned.map_or(Ok(()), Owned::check)
    }

    fn amounts(&self) -> Vec<f64> {
        let api = self
            .api
            .iter()
            .flat_map(|api| [api.usd_per_million_input, api.cached_input(), api.usd_per_million_output]);
        self.usd_per_device_hour.into_iter().chain(api).collect()
    }

    /// Name in tables.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.device)
    }

    /// Dollars for an hour of the device; absent where tokens are paid.
    pub fn usd_per_hour(&self) -> Option<f64> {
        self.usd_per_device_hour.or(self.owned.map(Owned::usd_per_hour))
    }

    /// Dollars for what was used.
    pub fn usd(&self, usage: &Usage) -> f64 {
        let by_the_hour = self.usd_per_hour().unwrap_or(0.0) * usage.device_s / 3600.0;
        by_the_hour + self.api.map_or(0.0, |api| api.usd(usage))
    }

    /// The price in a sentence's words: `$0.10 an hour`, or by the million tokens.
    pub fn terms(&self) -> String {
        match (self.api, self.usd_per_hour()) {
            (Some(api), _) => format!(
                "${} per million prompt tokens (${} cached) and ${} per million sampled",
                api.usd_per_million_input,
                api.cached_input(),
                api.usd_per_million_output
            ),
            (None, Some(usd)) => format!("${} an hour", crate::rounding::significant(usd)),
            (None, None) => "no price".into(),
        }
    }
}

impl Owned {
    fn check(self) -> Result<(), String> {
        let is_share = self.utilisation > 0.0 && self.utilisation <= 1.0;
        let (is_life, is_pue) = (self.life_years > 0.0, self.pue >= 1.0);
        if !(is_share && is_life && is_pue) {
            return Err("[owned] needs a utilisation in (0, 1], a life above 0 and a PUE from 1".into());
        }
        let amounts = [self.resale_usd, self.price_usd - self.resale_usd, self.power_w, self.usd_per_kwh];
        if !amounts.iter().all(|amount| *amount >= 0.0 && amount.is_finite()) {
            return Err("[owned] has an amount below 0, or a resale above the price".into());
        }
        // Each may be finite and the hour still not be, with a life of no time at all.
        if self.life_years.is_finite() && self.usd_per_hour().is_finite() {
            return Ok(());
        }
        Err("[owned] comes to no finite dollars an hour: mend its life, utilisation or PUE".into())
    }

    fn usd_per_hour(self) -> f64 {
        let hours = self.life_years * HOURS_PER_YEAR * self.utilisation;
        (self.price_usd - self.resale_usd) / hours + self.power_w / 1000.0 * self.pue * self.usd_per_kwh
    }
}

impl Api {
    fn cached_input(&self) -> f64 {
        self.usd_per_million_cached_input.unwrap_or(self.usd_per_million_input)
    }

    /// Dollars for one request, some of whose prompt was in a cache.
    pub fn usd_of_request(&self, prompt_tokens: f64, cached_tokens: f64, sampled_tokens: f64) -> f64 {
        let input = (prompt_tokens - cached_tokens) * self.usd_per_million_input
            + cached_tokens * self.cached_input();
        (input + sampled_tokens * self.usd_per_million_output) / 1e6
    }

    fn usd(&self, usage: &Usage) -> f64 {
        let again = (usage.n - 1.0).max(0.0) * self.cached_input();
        let input = usage.prompt_tokens * (self.usd_per_million_input + again);
        (input + usage.sampled_tokens * self.usd_per_million_output) / 1e6
    }
}

fn file_stem(name: &str) -> String {
    Path::new(name).file_stem().map_or_else(|| name.to_owned(), |stem| stem.to_string_lossy().into_owned())
}

fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let digits = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
    let is_written = parts.iter().all(digits) && parts.iter().map(|part| part.len()).eq([4, 2, 2]);
    is_written && ("01"..="12").contains(&parts[1]) && ("01"..="31").contains(&parts[2])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage() -> Usage {
        Usage { device_s: 1800.0, n: 4.0, prompt_tokens: 1000.0, sampled_tokens: 20_000.0 }
    }

    fn written(ways: &str) -> Result<Price, String> {
        Price::parse("mine.toml", &format!("device = \"d\"\nsource = \"s\"\ndate = \"2026-01-02\"\n{ways}"))
    }

    #[test]
    fn every_built_in_price_is_valid_dated_and_named_after_its_file() {
        for (name, _) in BUILT_IN {
            let price = Price::open(name).unwrap();
            assert_eq!((price.label(), price.check()), (name, Ok(())));
            assert!(price.usd(&usage()) > 0.0 && !price.source.is_empty());
        }
    }

    #[test]
    fn half_an_hour_of_a_rented_device_is_half_its_price() {
        assert_eq!(written("usd_per_device_hour = 3.0").unwrap().usd(&usage()), 1.5);
    }

    #[test]
    fn a_machine_of_ones_own_is_paid_off_over_the_hours_it_computes_and_draws_power() {
        let price = written(
            "[owned]\nprice_usd = 18766\nresale_usd = 1234\nlife_years = 4\nutilisation = 0.5\n\
             power_w = 500\npue = 1.2\nusd_per_kwh = 0.10",
        );
        // 17,532 dollars over 17,532 hours, and 0.6 kW at 10 cents.
        assert!((price.unwrap().usd(&usage()) - 0.53).abs() < 1e-12);
    }

    #[test]
    fn an_api_charges_the_prompt_again_for_each_completion_but_at_the_cached_price() {
        let api = "[api]\nusd_per_million_input = 1.0\nusd_per_million_output = 2.0";
        let plain = written(api).unwrap().usd(&usage());
        let cached = written(&format!("{api}\nusd_per_million_cached_input = 0.1")).unwrap().usd(&usage());
        assert!((plain - (0.004 + 0.04)).abs() < 1e-12 && (cached - (0.0013 + 0.04)).abs() < 1e-12);
    }

    #[test]
    fn a_price_that_makes_no_sense_is_refused_in_one_line_with_its_name() {
        for (ways, complaint) in [
            ("", "exactly one"),
            (
                "usd_per_device_hour = 1.0\n[api]\nusd_per_million_input = 1.0\nusd_per_million_output = 1.0",
                "exactly one",
            ),
            ("usd_per_device_hour = -1.0", "from 0"),
            ("usd_per_device_hour = nan", "from 0"),
            ("usd_per_hour = 1.0", "usd_per_hour"),
            (
                "[owned]\nprice_usd = 1\nresale_usd = 0\nlife_years = 1\nutilisation = 0\npower_w = 1\npue = 1\nusd_per_kwh = 1",
                "utilisation",
            ),
        ] {
            let error = written(ways).unwrap_err();
            assert!(error.starts_with("price mine.toml: ") && error.contains(complaint), "{error}");
            assert_eq!(error.lines().count(), 1);
        }
        let owned = |[life, utilisation, pue]: [&str; 3]| {
            written(&format!(
                "[owned]\nprice_usd = 9\nresale_usd = 0\nlife_years = {life}\nutilisation = {utilisation}\n\
                 power_w = 1\npue = {pue}\nusd_per_kwh = 1"
            ))
        };
        assert!(owned(["4", "0.5", "1.2"]).is_ok());
        for nonsense in [
            ["nan", "0.5", "1.2"],
            ["inf", "0.5", "1.2"],
            ["1e-320", "0.5", "1.2"],
            ["4", "nan", "1.2"],
            ["4", "0.5", "nan"],
            ["4", "0.5", "inf"],
        ] {
            assert!(owned(nonsense).unwrap_err().contains("[owned]"), "{nonsense:?}");
        }
        assert!(Price::open("no-such-price").unwrap_err().contains("h100-rented"));
    }
}
