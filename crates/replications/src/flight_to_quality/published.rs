//! The paper's printed signs and orders, and its means for orientation.

use super::design::Design;
use crate::conversion::Conversion;
use crate::paired::Sign;

/// A measure and the designs in rising order of it.
pub struct Order {
    /// Name in [`super::measures::MEASURES`].
    pub measure: &'static str,
    /// From the lowest to the highest mean.
    pub rising: [Design; 6],
}

const BASE: Design = Design::Base;
const C0: Design = Design::Cbdc(Conversion::C0);
const C1: Design = Design::Cbdc(Conversion::C1);
const C2: Design = Design::Cbdc(Conversion::C2);
const C3: Design = Design::Cbdc(Conversion::C3);
const C4: Design = Design::Cbdc(Conversion::C4);

/// Signs of all designs against the base.
pub const SIGNS: [(&str, Sign); 7] = [
    ("loan rate, %", Sign::Up),
    ("interbank, % of GDP", Sign::Up),
    ("CET1 / RWA, %", Sign::Down),
    ("bank default, %", Sign::Up),
    ("firm default, %", Sign::Down),
    ("real GDP", Sign::Down),
    ("unemployment, %", Sign::Up),
];

/// Orders of the designs.
pub const ORDERS: [Order; 4] = [
    Order { measure: "loan rate, %", rising: [BASE, C2, C0, C3, C4, C1] },
    Order { measure: "interbank, % of GDP", rising: [BASE, C2, C0, C4, C3, C1] },
    Order { measure: "CET1 / RWA, %", rising: [C1, C3, C4, C2, C0, BASE] },
    Order { measure: "bank default, %", rising: [BASE, C0, C2, C3, C4, C1] },
];

/// Printed means: base, C0 to C4.
pub const PUBLISHED: &[(&str, [&str; 6])] = &[
    ("CBDC, % of wealth", ["\u{2013}", "7.2", "41.2", "14.9", "17.6", "19.5"]),
    ("output", ["1630.9", "1628.5", "1616.2", "1629.5", "1625.0", "1623.1"]),
    ("real GDP", ["1596.7", "1595.2", "1588.5", "1596.5", "1593.0", "1591.1"]),
    ("unemployment, %", ["9.83", "9.91", "10.42", "9.90", "10.04", "10.09"]),
    ("loan rate, %", ["3.149", "3.206", "3.262", "3.195", "3.236", "3.240"]),
    ("credit / GDP, %", ["69.89", "69.92", "69.52", "69.85", "69.78", "69.83"]),
    ("CET1 / RWA, %", ["14.88", "13.92", "12.95", "13.57", "13.46", "13.48"]),
    ("firms' wealth, %", ["16.35", "16.23", "15.38", "16.27", "16.09", "16.01"]),
    ("banks' wealth, %", ["3.53", "3.35", "2.86", "3.23", "3.18", "3.17"]),
    ("firm default, %", ["9.83", "9.68", "8.48", "9.67", "9.45", "9.39"]),
    ("bank default, %", ["1.226", "1.286", "1.461", "1.353", "1.365", "1.439"]),
];
