//! The declarations of what is stored or logged. Each type is declared once, with its tags, and has its bytes from there.
//!
//! ```text
//! record! {
//!     /// What it is.
//!     pub struct Lock as "lock" {
//!         pub owner: UserId = 1,
//!         pub kind: LockKind = choice,              one field of several, by the tags of `LockKind`
//!         pub note: Option<String> = 4 since SCHEMA_2,
//!     }
//! }
//! ```
//!
//! Tags go up, which a build checks, and are never used again. A field that was added later says `since` which schema it
//! is written; until then, and in whatever is older, it reads as its type's default (nothing, 0, empty), so its type needs
//! one. `choice!` declares an enum of which exactly one field is there, `numbered!` one that is a number.

/// A type whose bytes are tagged fields.
macro_rules! record {
    ($(#[$meta:meta])* $vis:vis struct $name:ident as $what:literal {
        $($(#[$fmeta:meta])* $fvis:vis $field:ident : $type:ty = $tag:tt $(since $since:expr)?),* $(,)?
    }) => {
        $(#[$meta])*
        $vis struct $name {
            $($(#[$fmeta])* $fvis $field: $type,)*
        }

        $crate::domain::record::declare::message! { $name as $what, self, out, fields:
            { $($(#[$fmeta])* { $crate::domain::record::declare::field!(@write self.$field, out, $tag $(, $since)?); })* }
            { Ok(Self { $($(#[$fmeta])* $field: $crate::domain::record::declare::field!(@read fields, $tag $(, $since)?)?,)* }) }
        }

        #[allow(unused_doc_comments, reason = "a field is used with all its attributes")]
        const _: () = $crate::domain::record::declare::ascending(
            &[$($(#[$fmeta])* $crate::domain::record::declare::field!(@tag $type, $tag)),*]
        );
    };
}

/// A type around one value that is a record by itself: a message of one field.
macro_rules! single {
    ($(#[$meta:meta])* $vis:vis struct $name:ident($fvis:vis $type:ty) as $what:literal) => {
        $(#[$meta])*
        $vis struct $name($fvis $type);

        $crate::domain::record::declare::message! { $name as $what, self, out, fields:
            { $crate::domain::record::Field::write(&self.0, 1, out) }
            { $crate::domain::record::Field::read(1, fields).map(Self) }
        }
    };
}

/// One field of a `record!`.
macro_rules! field {
    (@write $value:expr, $out:ident, choice) => {
        $crate::domain::record::Choice::write_choice(&$value, $out)
    };
    (@write $value:expr, $out:ident, $tag:literal) => {
        $crate::domain::record::Field::write(&$value, $tag, $out)
    };
    (@write $value:expr, $out:ident, $tag:literal, $since:expr) => {
        if !$crate::domain::record::Field::is_absent(&$value) {
            $out.needs($since);
            $crate::domain::record::Field::write(&$value, $tag, $out);
        }
    };
    (@read $fields:ident, choice) => {
        $crate::domain::record::Choice::read_choice($fields)
    };
    (@read $fields:ident, $tag:literal) => {
        $crate::domain::record::Field::read($tag, $fields)
    };
    (@read $fields:ident, $tag:literal, $since:expr) => {{
        if $fields.peek() == Some($tag) {
            $fields.needs($since);
        }
        $crate::domain::record::Field::read($tag, $fields)
    }};
    (@tag $type:ty, choice) => {
        <$type as $crate::domain::record::Choice>::FIRST
    };
    (@tag $type:ty, $tag:literal) => {
        $tag
    };
}

/// A message from its two directions; a field of another one, too.
macro_rules! message {
    ($name:ty as $what:expr, $this:ident, $out:ident, $fields:ident: $write:block $read:block) => {
        impl $crate::domain::record::Message for $name {
            const NAME: &'static str = $what;

            #[allow(unused_variables, unused_doc_comments)]
            fn write_fields(&$this, $out: &mut $crate::domain::record::Writer) $write

            #[allow(unused_variables, unused_doc_comments)]
            fn read_fields($fields: &mut $crate::domain::record::Fields<'_>) -> Result<Self, $crate::domain::Fault> $read
        }

        impl $crate::domain::record::Value for $name {
            const WIRE: $crate::domain::record::Wire = $crate::domain::record::Wire::Bytes;

            fn put(&self, out: &mut $crate::domain::record::Writer) {
                out.nested(|out| $crate::domain::record::Message::write_fields(self, out));
            }

            fn take(payload: $crate::domain::record::Payload<'_>) -> Result<Self, $crate::domain::Fault> {
                payload.message($what, $crate::domain::record::Message::read_fields)
            }
        }
    };
}

/// An enum: exactly one of its fields is there, also where it holds a default. A variant holds nothing, a value, or
/// fields of its own.
macro_rules! choice {
    ($(#[$meta:meta])* $vis:vis enum $name:ident as $what:literal {
        $($(#[$vmeta:meta])* $variant:ident
            $(($inner:ty))?
            $({ $($field:ident : $type:ty = $ftag:literal),* $(,)? })?
            = $tag:literal),* $(,)?
    }) => {
        $(#[$meta])*
        $vis enum $name {
            $($(#[$vmeta])* $variant $(($inner))? $({ $($field: $type),* })?,)*
        }

        impl $crate::domain::record::Choice for $name {
            const FIRST: u32 = $crate::domain::record::declare::least(&[$($tag),*]);

            fn write_choice(&self, out: &mut $crate::domain::record::Writer) {
                match self {
                    $(Self::$variant
                        $(($crate::domain::record::declare::variant!(@bind value, $inner)))?
                        $({ $($field),* })? =>
                        $crate::domain::record::declare::variant!(
                            @write out, $tag, [$(value, $inner)?] [$({ $($field = $ftag),* })?]
                        ),)*
                }
            }

            fn read_choice(fields: &mut $crate::domain::record::Fields<'_>) -> Result<Self, $crate::domain::Fault> {
                match fields.peek() {
                    $(Some($tag) => $crate::domain::record::declare::variant!(
                        @read fields, $what, $tag, $variant, [$($inner)?] [$({ $($field = $ftag),* })?]
                    ),)*
                    Some(tag) => Err(fields.unknown(tag)),
                    None => Err($crate::domain::record::bad($what)),
                }
            }
        }

        $crate::domain::record::declare::message! { $name as $what, self, out, fields:
            { $crate::domain::record::Choice::write_choice(self, out) }
            { $crate::domain::record::Choice::read_choice(fields) }
        }
    };
}

/// One variant of a `choice!`.
macro_rules! variant {
    (@bind $value:ident, $inner:ty) => { $value };
    (@write $out:ident, $tag:literal, [] []) => {{
        $out.key($tag, $crate::domain::record::Wire::Bytes);
        $out.bytes(&[]);
    }};
    (@write $out:ident, $tag:literal, [$value:ident, $inner:ty] []) => {
        $crate::domain::record::write_present::<$inner>($value, $tag, $out)
    };
    (@write $out:ident, $tag:literal, [] [{ $($field:ident = $ftag:literal),* }]) => {{
        $out.key($tag, $crate::domain::record::Wire::Bytes);
        $out.nested(|out| { $($crate::domain::record::Field::write($field, $ftag, out);)* });
    }};
    (@read $fields:ident, $what:literal, $tag:literal, $variant:ident, [] []) => {
        match $fields.take($tag)? {
            Some(payload) => payload.message($what, |_| Ok(Self::$variant)),
            None => Err($fields.missing($tag)),
        }
    };
    (@read $fields:ident, $what:literal, $tag:literal, $variant:ident, [$inner:ty] []) => {
        match $fields.take($tag)? {
            Some(payload) => Ok(Self::$variant(<$inner as $crate::domain::record::Value>::take(payload)?)),
            None => Err($fields.missing($tag)),
        }
    };
    (@read $fields:ident, $what:literal, $tag:literal, $variant:ident, [] [{ $($field:ident = $ftag:literal),* }]) => {
        match $fields.take($tag)? {
            Some(payload) => payload.message($what, |fields| {
                Ok(Self::$variant { $($field: $crate::domain::record::Field::read($ftag, fields)?),* })
            }),
            None => Err($fields.missing($tag)),
        }
    };
}

/// An enum that is a number. 0 is what an absent field reads as, and never one of them.
macro_rules! numbered {
    ($(#[$meta:meta])* $vis:vis enum $name:ident as $what:literal {
        $($(#[$vmeta:meta])* $variant:ident = $number:literal),* $(,)?
    }) => {
        $(#[$meta])*
        $vis enum $name {
            $($(#[$vmeta])* $variant,)*
        }

        impl $crate::domain::record::Value for $name {
            const WIRE: $crate::domain::record::Wire = $crate::domain::record::Wire::Varint;

            fn put(&self, out: &mut $crate::domain::record::Writer) {
                out.varint(match self { $(Self::$variant => $number,)* });
            }

            fn take(payload: $crate::domain::record::Payload<'_>) -> Result<Self, $crate::domain::Fault> {
                match payload.number()? {
                    $($number => Ok(Self::$variant),)*
                    _ => Err($crate::domain::record::bad($what)),
                }
            }
        }
    };
}

/// A type around one value: it lies on the wire as that does.
macro_rules! transparent {
    ($name:ty, $inner:ty) => {
        impl $crate::domain::record::Value for $name {
            const WIRE: $crate::domain::record::Wire = <$inner as $crate::domain::record::Value>::WIRE;

            fn put(&self, out: &mut $crate::domain::record::Writer) {
                $crate::domain::record::Value::put(&self.0, out);
            }

            fn take(payload: $crate::domain::record::Payload<'_>) -> Result<Self, $crate::domain::Fault> {
                <$inner as $crate::domain::record::Value>::take(payload).map(Self)
            }

            fn implied() -> Option<Self> {
                <$inner as $crate::domain::record::Value>::implied().map(Self)
            }

            fn is_implied(&self) -> bool {
                $crate::domain::record::Value::is_implied(&self.0)
            }
        }
    };
}

pub(crate) use {choice, field, message, numbered, record, single, transparent, variant};

/// Fails the build of a type whose tags do not go up: it would be written in an order in which it cannot be read.
pub(crate) const fn ascending(tags: &[u32]) {
    let mut place = 1;
    while place < tags.len() {
        assert!(tags[place - 1] < tags[place], "the tags of a record go up, and none is there twice");
        place += 1;
    }
}

/// The least of some tags.
pub(crate) const fn least(tags: &[u32]) -> u32 {
    let mut least = tags[0];
    let mut place = 1;
    while place < tags.len() {
        if tags[place] < least {
            least = tags[place];
        }
        place += 1;
    }
    least
}
