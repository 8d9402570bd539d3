//! A list whose elements are so many arguments, for code that does not know how many there are.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{SeqAccess, Visitor};
use serde::ser::SerializeTuple as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The length that a [`Spread`] asks for, there being no other way through serde to say "as many as there are".
pub(super) const EVERY: usize = usize::MAX;

/// The elements of a list as so many arguments: given as [`Arguments`](super::Arguments) each is one, and where a type
/// is asked for it gets all that came. A `Vec` alone is a single argument, an array.
///
/// ```
/// use switchboard_io_proto::socket::{Args, Parser, Spread, Value};
///
/// let args = Args::new(Parser::Json, &Spread(vec![1, 2, 3]))?;
/// assert_eq!(args.len(), 3);
/// let Spread(values): Spread<Value> = args.extract()?;
/// assert_eq!(values, [1.into(), 2.into(), 3.into()]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spread<T>(pub Vec<T>);

impl<T: Serialize> Serialize for Spread<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        self.0.iter().try_for_each(|element| tuple.serialize_element(element))?;
        tuple.end()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spread<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple(EVERY, List(PhantomData))
    }
}

struct List<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
    type Value = Spread<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Spread<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(Spread(list))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Args, Parser, Value};
    use super::*;

    #[test]
    fn elements_are_arguments_in_both_directions() {
        for parser in [Parser::Json, Parser::Msgpack] {
            for values in [vec![], vec![Value::Null], vec![Value::from("a"), Value::Array(vec![1.into()])]] {
                let args = Args::new(parser, &Spread(values.clone())).expect("written");
                assert_eq!(args.len(), values.len());
                assert_eq!(args.extract::<Spread<Value>>(), Ok(Spread(values)));
            }
        }
    }

    #[test]
    fn within_an_argument_it_is_an_array() {
        let args = Args::new(Parser::Json, &(Spread(vec![1, 2]), "b")).expect("written");
        assert_eq!(&**args.raw(), br#"[1,2],"b""#);
        assert_eq!(args.get::<Spread<u8>>(0), Ok(Spread(vec![1, 2])));
    }
}
