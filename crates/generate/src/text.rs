//! What customers write: short reviews put together from phrases that fit how they feel.

use crate::chance::Dice;

/// How a review sounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Unhappy,
    Lukewarm,
    Happy,
}

/// The share of reviews whose text does not sound like their rating: people are like that.
const DISAGREEING: f64 = 0.08;

const OPENINGS: [[&str; 8]; 3] = [
    [
        "Very disappointed with this",
        "I regret buying this",
        "Not worth the money",
        "This broke after a week",
        "Terrible, I sent it back",
        "Nothing like the pictures",
        "Cheap and flimsy",
        "A waste of money",
    ],
    [
        "It does the job",
        "Average at best",
        "Neither good nor bad",
        "Okay for the price",
        "I expected a little more",
        "Decent, with some flaws",
        "Usable but nothing special",
        "Mixed feelings about this one",
    ],
    [
        "Absolutely love it",
        "Best purchase this year",
        "Exceeded my expectations",
        "Great value for the money",
        "I am very happy with this",
        "Works perfectly",
        "Highly recommended",
        "Five stars from the whole family",
    ],
];

const ASPECTS: [&str; 10] = [
    "the material",
    "the finish",
    "the packaging",
    "the delivery",
    "the size",
    "the colour",
    "the build quality",
    "the customer service",
    "the instructions",
    "the design",
];

const OPINIONS: [[&str; 7]; 3] = [
    [
        "is awful",
        "is poor",
        "let me down",
        "feels cheap",
        "is a joke",
        "was faulty from the start",
        "is far below what was promised",
    ],
    [
        "is fine",
        "is acceptable",
        "could be better",
        "is as expected",
        "is nothing to write home about",
        "is all right",
        "varies",
    ],
    [
        "is excellent",
        "is superb",
        "is better than I hoped",
        "feels solid",
        "is beautiful",
        "impressed everyone here",
        "is flawless",
    ],
];

const CLOSINGS: [[&str; 6]; 3] = [
    [
        "Would not buy again.",
        "I asked for a refund.",
        "Stay away.",
        "One star is too many.",
        "It went straight to the bin.",
        "Look elsewhere.",
    ],
    [
        "It will do for now.",
        "Maybe there are better ones.",
        "I might keep it.",
        "You get what you pay for.",
        "Fine for occasional use.",
        "Not sure I would buy it again.",
    ],
    [
        "Will buy again!",
        "Already ordered a second one.",
        "A perfect gift.",
        "Thank you!",
        "I use it every day.",
        "I told all my friends.",
    ],
];

/// A review of two or three sentences for a rating from 1 to 5. `product` is named in some of them.
pub(crate) fn review(dice: &mut Dice, rating: u64, product: &str) -> String {
    let mood = if dice.happens(DISAGREEING) { random_mood(dice) } else { mood_of(rating) } as usize;
    let opening = dice.pick(&OPENINGS[mood]);
    let aspect = dice.pick(&ASPECTS);
    let opinion = dice.pick(&OPINIONS[mood]);
    let closing = dice.pick(&CLOSINGS[mood]);
    match dice.below(5) {
        0 => format!("{opening}. {closing}"),
        1 => format!("{opening}: {aspect} of this {} {opinion}. {closing}", product.to_lowercase()),
        2 => format!("{opening}. I have to say {aspect} {opinion}."),
        3 => {
            let second = dice.pick(&ASPECTS);
            format!("{opening}, {aspect} {opinion} and {second} too. {closing}")
        }
        _ => format!("{opening}, and {aspect} {opinion}. {closing}"),
    }
}

fn mood_of(rating: u64) -> Mood {
    match rating {
        0..=2 => Mood::Unhappy,
        3 => Mood::Lukewarm,
        _ => Mood::Happy,
    }
}

fn random_mood(dice: &mut Dice) -> Mood {
    match dice.below(3) {
        0 => Mood::Unhappy,
        1 => Mood::Lukewarm,
        _ => Mood::Happy,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::chance::Purpose;

    fn reviews(rating: u64) -> Vec<String> {
        (0..2_000).map(|index| review(&mut Dice::new(1, Purpose::Event, index), rating, "Oak Lamp")).collect()
    }

    #[test]
    fn text_agrees_with_its_rating_most_of_the_time() {
        let sounds =
            |text: &String, mood: Mood| OPENINGS[mood as usize].iter().any(|opening| text.starts_with(opening));
        for (rating, mood) in
            [(1, Mood::Unhappy), (2, Mood::Unhappy), (3, Mood::Lukewarm), (4, Mood::Happy), (5, Mood::Happy)]
        {
            let agreeing = reviews(rating).iter().filter(|text| sounds(text, mood)).count();
            assert!((1_800..1_990).contains(&agreeing), "{rating}: {agreeing}");
        }
    }

    #[test]
    fn reviews_differ_and_need_no_escaping() {
        let texts = reviews(5);
        assert!(texts.iter().collect::<BTreeSet<_>>().len() > 1_000);
        assert!(texts.iter().all(|text| !text.contains(['"', '\\', '\n']) && text.is_ascii()));
    }
}
