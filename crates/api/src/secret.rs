//! Secrets on the wire: the one that an answer reveals, and the ones that a request presents.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

macro_rules! secrets {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// Its `Debug` shows nothing, and its memory is wiped when it is dropped.
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(Zeroizing<String>);

        impl $name {
            /// Takes the text over.
            pub fn new(text: impl Into<Zeroizing<String>>) -> Self {
                Self(text.into())
            }

            /// The text. Never log it.
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
            }
        }
    )*};
}

secrets! {
    /// A new secret in the one answer that shows it.
    RevealedSecret;
    /// A credential that a request is about: a key's secret or a set-up token.
    PresentedSecret;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_written_to_the_wire_and_nowhere_else() {
        let secret = RevealedSecret::new("kh_not_for_eyes".to_owned());
        assert_eq!(format!("{secret:?}"), "RevealedSecret(…)");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"kh_not_for_eyes\"");
        assert_eq!(serde_json::from_str::<PresentedSecret>("\"x\"").unwrap().expose(), "x");
    }
}
