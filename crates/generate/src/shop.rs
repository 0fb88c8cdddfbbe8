//! Who buys and what is sold: customers and products, each a function of the seed and a number.

use std::path::Path;

use stage::Result;

use crate::chance::{Dice, Purpose};
use crate::clock::{HOUR, Timeline, push_date, push_time};
use crate::line::{push_amount, push_number, push_text};
use crate::output::{Output, Written};

/// One customer in this many appears again, changed, in the second snapshot.
pub(crate) const CHANGED_ONE_IN: u64 = 10;

const FIRST_NAMES: [&str; 24] = [
    "Ada", "Amir", "Ana", "Ben", "Chen", "Clara", "David", "Elif", "Emma", "Felix", "Grace", "Hana", "Ivan", "Julia",
    "Kofi", "Lena", "Luis", "Maria", "Nina", "Omar", "Priya", "Sofia", "Tom", "Yuki",
];
const LAST_NAMES: [&str; 24] = [
    "Adams", "Bauer", "Costa", "Diaz", "Eriksen", "Fischer", "Garcia", "Haddad", "Ito", "Jansen", "Kim", "Lopez",
    "Meyer", "Novak", "Okafor", "Patel", "Rossi", "Schmidt", "Silva", "Smith", "Tanaka", "Wagner", "Weber", "Young",
];
const COUNTRIES: [&str; 14] = ["US", "US", "US", "US", "DE", "DE", "DE", "FR", "FR", "GB", "IN", "BR", "JP", "ES"];
const CATEGORIES: [(&str, f64, [&str; 5]); 6] = [
    ("home", 35.0, ["Lamp", "Rug", "Vase", "Clock", "Cushion"]),
    ("kitchen", 28.0, ["Kettle", "Pan", "Knife", "Toaster", "Mug"]),
    ("electronics", 120.0, ["Speaker", "Headphones", "Keyboard", "Charger", "Camera"]),
    ("sports", 45.0, ["Yoga Mat", "Dumbbell", "Backpack", "Bottle", "Racket"]),
    ("toys", 22.0, ["Puzzle", "Robot", "Kite", "Train Set", "Board Game"]),
    ("books", 15.0, ["Cookbook", "Atlas", "Novel", "Travel Guide", "Notebook"]),
];
const STYLES: [&str; 12] =
    ["Oak", "Steel", "Compact", "Classic", "Nordic", "Vintage", "Travel", "Deluxe", "Mini", "Smart", "Ocean", "Forest"];

/// Something the shop sells.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Product {
    pub(crate) name: String,
    pub(crate) category: &'static str,
    /// Price in hundredths.
    pub(crate) price: u64,
    /// What customers tend to think of it, in tenths, from 10 to 50.
    pub(crate) rating: u64,
}

/// Product number `number`, counted from 0.
pub(crate) fn product(seed: u64, number: u64) -> Product {
    let mut dice = Dice::new(seed, Purpose::Product, number);
    let (category, median, nouns) = &CATEGORIES[dice.below(CATEGORIES.len() as u64) as usize];
    let name = format!("{} {}", dice.pick(&STYLES), dice.pick(nouns));
    let price = dice.lognormal(*median, 0.6).max(1.0);
    let rating = (38.0 + 6.0 * dice.normal()).clamp(10.0, 50.0);
    // Prices end in 9, as prices do.
    Product { name, category, price: (price * 10.0) as u64 * 10 + 9, rating: rating as u64 }
}

/// Writes all products as one JSON array over many lines.
pub(crate) fn write_products(seed: u64, count: u64, timeline: &Timeline, folder: &Path) -> Result<Written> {
    let mut output = Output::create(folder, "products-0.json")?;
    let mut line = Vec::new();
    output.write(b"[\n")?;
    for number in 0..count {
        let product = product(seed, number);
        line.clear();
        line.extend_from_slice(b"  {\n    \"product_id\": ");
        push_number(&mut line, number + 1);
        line.extend_from_slice(b",\n    \"name\": ");
        push_text(&mut line, &product.name);
        line.extend_from_slice(b",\n    \"category\": ");
        push_text(&mut line, product.category);
        line.extend_from_slice(b",\n    \"price\": ");
        push_amount(&mut line, product.price);
        line.extend_from_slice(b",\n    \"rating\": ");
        push_number(&mut line, product.rating / 10);
        line.extend_from_slice(&[b'.', b'0' + (product.rating % 10) as u8]);
        line.extend_from_slice(b",\n    \"updated_at\": \"");
        push_time(&mut line, timeline.after(0.0));
        line.extend_from_slice(if number + 1 < count { b"\"\n  },\n" } else { b"\"\n  }\n" });
        output.write(&line)?;
    }
    output.write(b"]\n")?;
    Ok(Written { files: 1, bytes: output.finish()? })
}

/// Writes two snapshots of the customers as CSV: all of them on the first day, and the tenth of them who moved or
/// earn more when half of the time is over.
pub(crate) fn write_customers(seed: u64, count: u64, timeline: &Timeline, folder: &Path) -> Result<(Written, u64)> {
    let mut written = Written::default();
    let mut rows = 0;
    for (snapshot, share) in [0.0, 0.5].into_iter().enumerate() {
        let mut output = Output::create(folder, &format!("customers-{snapshot}.csv"))?;
        output.write(b"customer_id,name,email,country,age,income,signup_date,updated_at\n")?;
        let mut line = Vec::new();
        for number in (0..count).filter(|number| snapshot == 0 || changes(seed, *number)) {
            line.clear();
            push_customer(&mut line, seed, number, snapshot > 0, timeline, timeline.after(share));
            output.write(&line)?;
            rows += 1;
        }
        written.files += 1;
        written.bytes += output.finish()?;
    }
    Ok((written, rows))
}

fn changes(seed: u64, number: u64) -> bool {
    Dice::new(seed, Purpose::CustomerChange, number).below(CHANGED_ONE_IN) == 0
}

fn push_customer(line: &mut Vec<u8>, seed: u64, number: u64, changed: bool, timeline: &Timeline, updated: i64) {
    let mut dice = Dice::new(seed, Purpose::Customer, number);
    let (first, last) = (dice.pick(&FIRST_NAMES), dice.pick(&LAST_NAMES));
    let mut country = dice.pick(&COUNTRIES);
    let age = 18 + dice.below(30) + dice.below(30);
    let mut income = dice.lognormal(42_000.0, 0.45);
    let signup = timeline.after(0.0) - dice.below(3 * 365 * 24 * HOUR as u64) as i64 - 1;
    if changed {
        let mut change = Dice::new(seed, Purpose::CustomerChange, number);
        change.bits();
        country = change.pick(&COUNTRIES);
        income *= 1.0 + 0.2 * change.unit();
    }
    push_number(line, number + 1);
    // Written as `Last, First`, so that readers of CSV meet a quoted delimiter.
    line.extend_from_slice(format!(",\"{last}, {first}\",").as_bytes());
    line.extend_from_slice(format!("{}.{}{number}@example.com", first.to_lowercase(), last.to_lowercase()).as_bytes());
    line.extend_from_slice(format!(",{country},{age},").as_bytes());
    push_amount(line, (income * 100.0) as u64);
    line.push(b',');
    push_date(line, signup);
    line.push(b',');
    push_time(line, updated);
    line.push(b'\n');
}
