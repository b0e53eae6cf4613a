//! Exact fractions.

/// A fraction in lowest terms with a positive denominator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rational {
    numerator: i128,
    denominator: i128,
}

impl Rational {
    pub const ZERO: Rational = Rational::whole(0);

    pub const fn whole(value: i128) -> Rational {
        Rational {
            numerator: value,
            denominator: 1,
        }
    }

    /// # Panics
    /// Where the denominator is not positive.
    pub fn new(numerator: i128, denominator: i128) -> Rational {
        assert!(denominator > 0, "{numerator}/{denominator}");
        let common = greatest_common_divisor(numerator.abs(), denominator);
        Rational {
            numerator: numerator / common,
            denominator: denominator / common,
        }
    }

    pub fn plus(self, other: Rational) -> Rational {
        let common = greatest_common_divisor(self.denominator, other.denominator);
        let (left, right) = (other.denominator / common, self.denominator / common);
        Rational::new(
            self.numerator * left + other.numerator * right,
            self.denominator * left,
        )
    }

    pub fn minus(self, other: Rational) -> Rational {
        self.plus(other.times(-1, 1))
    }

    pub fn times(self, numerator: i128, denominator: i128) -> Rational {
        Rational::new(self.numerator * numerator, self.denominator * denominator)
    }

    pub fn floor(self) -> i128 {
        self.numerator.div_euclid(self.denominator)
    }

    pub fn ceil(self) -> i128 {
        -self.times(-1, 1).floor()
    }

    pub fn half_up(self) -> i128 {
        self.plus(Rational::new(1, 2)).floor()
    }

    /// Whether it is at most `steps` halves away from `value`.
    pub fn within_halves_of(self, value: i128, steps: i128) -> bool {
        let off = self.minus(Rational::whole(value));
        off.numerator.abs() * 2 <= steps * off.denominator
    }
}

fn greatest_common_divisor(mut a: i128, mut b: i128) -> i128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

#[test]
fn fractions_are_exact() {
    let third = Rational::new(1, 3);
    assert_eq!(third.plus(third).plus(third), Rational::whole(1));
    assert_eq!(Rational::new(2, -4 + 8), Rational::new(1, 2));
    assert_eq!(
        (Rational::new(5, 2).half_up(), Rational::new(-5, 2).half_up()),
        (3, -2)
    );
    assert_eq!(
        (Rational::new(-1, 3).floor(), Rational::new(-1, 3).ceil()),
        (-1, 0)
    );
    assert!(third.within_halves_of(0, 1) && !Rational::new(2, 3).within_halves_of(0, 1));
}
