//! Expressions: a policy rule written in the scenario.
//!
//! `policy_rate + 0.5 * (inflation - 0.02)`: numbers, names of what the central bank observes ([`NAMES`]), `+ - * /`,
//! comparisons (`<`, `<=`, `>`, `>=`, giving 1 or 0), brackets, and the functions `min(a, b)`, `max(a, b)`, `abs(a)`
//! and `if(condition, then, else)`. It is parsed into a tree, at most [`LENGTH_MAX`] characters and [`DEPTH_MAX`]
//! levels deep; evaluation cannot fail, loop or reach anything beyond its names. A result that is not a finite number
//! leaves policy unchanged.

/// The names that an expression may use: shares are 1 for the whole, rates 0.01 for 1 % a year, amounts minor units.
pub const NAMES: [&str; 12] = [
    "inflation",
    "output_gap",
    "price_level",
    "policy_rate",
    "deposit_rate",
    "loan_rate",
    "cbdc_rate",
    "cbdc_share",
    "adopted",
    "trust_banks",
    "holding_limit",
    "month",
];

/// Longest text, which limits the tree of a long sum to what fits the stack.
pub const LENGTH_MAX: usize = 2_000;

/// Deepest nesting of brackets and functions.
pub const DEPTH_MAX: usize = 32;

/// The values of [`NAMES`], in their order.
pub type Sight = [f64; NAMES.len()];

/// A parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression(Node);

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Number(f64),
    Name(usize),
    Binary(Operator, Box<Node>, Box<Node>),
    Negative(Box<Node>),
    Absolute(Box<Node>),
    If(Box<Node>, Box<Node>, Box<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Less,
    LessOrEqual,
    Min,
    Max,
}

impl Expression {
    /// Parses a text.
    ///
    /// # Errors
    /// A sentence: what was expected, and what was found where.
    pub fn parse(text: &str) -> Result<Expression, String> {
        let length = text.chars().count();
        if length > LENGTH_MAX {
            return Err(format!("expected at most {LENGTH_MAX} letters, found {length}"));
        }
        let mut parser = Parser { text, at: 0 };
        let node = parser.comparison(0)?;
        match parser.peek() {
            None => Ok(Expression(node)),
            Some(letter) => Err(parser.wrong(&format!("an operator or the end, found `{letter}`"))),
        }
    }

    /// Evaluates the expression.
    pub fn value(&self, sight: &Sight) -> f64 {
        value(&self.0, sight)
    }
}

fn value(node: &Node, sight: &Sight) -> f64 {
    let of = |node: &Node| value(node, sight);
    match node {
        Node::Number(number) => *number,
        Node::Name(index) => sight[*index],
        Node::Negative(inner) => -of(inner),
        Node::Absolute(inner) => of(inner).abs(),
        Node::If(condition, then, otherwise) => of(if of(condition) != 0.0 { then } else { otherwise }),
        Node::Binary(operator, left, right) => {
            let (left, right) = (of(left), of(right));
            let truth = |is: bool| f64::from(u8::from(is));
            match operator {
                Operator::Add => left + right,
                Operator::Subtract => left - right,
                Operator::Multiply => left * right,
                Operator::Divide => left / right,
                Operator::Less => truth(left < right),
                Operator::LessOrEqual => truth(left <= right),
                Operator::Min => left.min(right),
                Operator::Max => left.max(right),
            }
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

type Parsed = Result<Node, String>;

impl Parser<'_> {
    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        self.text[self.at..].chars().next()
    }

    fn take(&mut self, wanted: &str) -> bool {
        self.peek();
        let found = self.text[self.at..].starts_with(wanted);
        self.at += if found { wanted.len() } else { 0 };
        found
    }

    fn expect(&mut self, wanted: &str) -> Result<(), String> {
        if self.take(wanted) {
            return Ok(());
        }
        let found = self.peek().map_or("the end".to_owned(), |letter| format!("`{letter}`"));
        Err(self.wrong(&format!("`{wanted}`, found {found}")))
    }

    fn wrong(&self, what: &str) -> String {
        format!("expected {what} at character {} of `{}`", self.text[..self.at].chars().count() + 1, self.text)
    }

    fn comparison(&mut self, depth: usize) -> Parsed {
        let left = self.sum(depth)?;
        for (sign, operator, is_swapped) in [
            ("<=", Operator::LessOrEqual, false),
            (">=", Operator::LessOrEqual, true),
            ("<", Operator::Less, false),
            (">", Operator::Less, true),
        ] {
            if self.take(sign) {
                let right = self.sum(depth)?;
                let (left, right) = if is_swapped { (right, left) } else { (left, right) };
                return Ok(Node::Binary(operator, Box::new(left), Box::new(right)));
            }
        }
        Ok(left)
    }

    fn sum(&mut self, depth: usize) -> Parsed {
        let mut left = self.product(depth)?;
        loop {
            let operator = match self.peek() {
                Some('+') => Operator::Add,
                Some('-') => Operator::Subtract,
                _ => return Ok(left),
            };
            self.at += 1;
            left = Node::Binary(operator, Box::new(left), Box::new(self.product(depth)?));
        }
    }

    fn product(&mut self, depth: usize) -> Parsed {
        let mut left = self.atom(depth)?;
        loop {
            let operator = match self.peek() {
                Some('*') => Operator::Multiply,
                Some('/') => Operator::Divide,
                _ => return Ok(left),
            };
            self.at += 1;
            left = Node::Binary(operator, Box::new(left), Box::new(self.atom(depth)?));
        }
    }

    fn atom(&mut self, depth: usize) -> Parsed {
        if depth >= DEPTH_MAX {
            return Err(self.wrong(&format!("at most {DEPTH_MAX} levels of brackets, found more")));
        }
        match self.peek() {
            Some('-') => {
                self.at += 1;
                Ok(Node::Negative(Box::new(self.atom(depth + 1)?)))
            }
            Some('(') => {
                self.at += 1;
                let inner = self.comparison(depth + 1)?;
                self.expect(")")?;
                Ok(inner)
            }
            Some(letter) if letter.is_ascii_digit() || letter == '.' => self.number(),
            Some(letter) if letter.is_ascii_alphabetic() => self.name(depth),
            found => {
                let found = found.map_or("the end".to_owned(), |letter| format!("`{letter}`"));
                Err(self.wrong(&format!("a number, a name or a bracket, found {found}")))
            }
        }
    }

    fn number(&mut self) -> Parsed {
        let rest = &self.text[self.at..];
        let length = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        match rest[..length].parse() {
            Ok(number) => {
                self.at += length;
                Ok(Node::Number(number))
            }
            Err(_) => Err(self.wrong(&format!("a number such as 0.5, found `{}`", &rest[..length]))),
        }
    }

    fn name(&mut self, depth: usize) -> Parsed {
        let rest = &self.text[self.at..];
        let length = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(rest.len());
        let name = &rest[..length];
        let arguments = match name {
            "min" | "max" => 2,
            "abs" => 1,
            "if" => 3,
            _ => {
                let index = NAMES.iter().position(|known| *known == name);
                let index = index.ok_or_else(|| {
                    let near = cbdc_scenario_file::suggestion::nearest(name, NAMES);
                    let hint = near.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
                    self.wrong(&format!("one of {}, found `{name}`{hint}", NAMES.join(", ")))
                })?;
                self.at += length;
                return Ok(Node::Name(index));
            }
        };
        self.at += length;
        self.expect("(")?;
        let mut parts = Vec::with_capacity(arguments);
        for index in 0..arguments {
            if index > 0 {
                self.expect(",")?;
            }
            parts.push(Box::new(self.comparison(depth + 1)?));
        }
        self.expect(")")?;
        let mut parts = parts.into_iter();
        let (Some(first), second, third) = (parts.next(), parts.next(), parts.next()) else {
            return Err(self.wrong("an argument, found none"));
        };
        Ok(match (name, second, third) {
            ("min", Some(second), _) => Node::Binary(Operator::Min, first, second),
            ("max", Some(second), _) => Node::Binary(Operator::Max, first, second),
            ("if", Some(second), Some(third)) => Node::If(first, second, third),
            _ => Node::Absolute(first),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> f64 {
        let mut sight = [0.0; NAMES.len()];
        (sight[0], sight[3]) = (0.05, 0.02);
        Expression::parse(text).unwrap().value(&sight)
    }

    #[test]
    fn arithmetic_binds_as_usual() {
        assert_eq!(at("1 + 2 * 3 - 4 / 2"), 5.0);
        assert_eq!(at("-(1 + 2) * -2"), 6.0);
        assert_eq!(at("max(0, policy_rate - 0.05)"), 0.0);
        assert_eq!(at("if(inflation > 0.02, 1, 2) + (2 <= 2)"), 2.0);
        assert!((at("policy_rate + 0.5 * (inflation - 0.02)") - 0.035).abs() < 1e-12);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_position() {
        for (text, words) in [
            ("inflatoin + 1", "did you mean `inflation`"),
            ("1 +", "found the end"),
            ("min(1)", "`,`"),
            ("(1", "`)`"),
            ("1 2", "an operator"),
            ("1..2", "a number such as"),
        ] {
            let error = Expression::parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        for long in ["(", "-", "1+"] {
            assert!(Expression::parse(&long.repeat(1_000)).is_err(), "{long}");
        }
        // Short enough to be read, or refused: never too deep for the stack.
        assert!(Expression::parse(&format!("{}1", "1+".repeat(999))).is_ok());
        let error = Expression::parse(&format!("{}1", "1+".repeat(1_000_000))).unwrap_err();
        assert!(error.contains("at most 2000 letters"), "{error}");
    }
}
