//! Lists that Python has other types for, and shows in another way: tuples, views of dictionaries, and ranges.

use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr, Value};
use minijinja::{Error, ErrorKind};

use super::python::repr;

/// Numbers that a range may have; a template that loops over more is a mistake.
const MOST: usize = 100_000;

/// A list that is shown as something else.
#[derive(Debug)]
pub(super) struct Shown {
    form: Form,
    values: Vec<Value>,
}

#[derive(Clone, Debug)]
enum Form {
    /// `(1, 'a')`
    Tuple,
    /// `dict_keys([…])`
    View(&'static str),
    /// `range(0, 3)`
    Range(String),
}

impl Object for Shown {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.values.get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.values.len())
    }
}

impl Shown {
    /// `repr(value)`.
    pub(super) fn repr(&self) -> String {
        let values: Vec<String> = self.values.iter().map(repr).collect();
        let listed = values.join(", ");
        match &self.form {
            Form::Tuple if values.len() == 1 => format!("({listed},)"),
            Form::Tuple => format!("({listed})"),
            Form::View(name) => format!("{name}([{listed}])"),
            Form::Range(text) => text.clone(),
        }
    }
}

/// A tuple.
pub(super) fn tuple(values: Vec<Value>) -> Value {
    Value::from_object(Shown { form: Form::Tuple, values })
}

/// A list of pairs as one of tuples.
pub(super) fn tuples(pairs: &Value) -> Result<Vec<Value>, Error> {
    pairs.try_iter()?.map(|pair| Ok(tuple(pair.try_iter()?.collect()))).collect()
}

/// `dict.items()`, `dict.keys()` or `dict.values()`.
pub(super) fn view(dictionary: &Value, method: &str) -> Result<Value, Error> {
    let keys = dictionary.try_iter()?;
    let (name, values) = match method {
        "keys" => ("dict_keys", keys.collect()),
        "values" => {
            let values = keys.map(|key| dictionary.get_item(&key)).collect::<Result<_, Error>>()?;
            ("dict_values", values)
        }
        _ => {
            let pair = |key: Value| Ok(tuple(vec![key.clone(), dictionary.get_item(&key)?]));
            ("dict_items", keys.map(pair).collect::<Result<_, Error>>()?)
        }
    };
    Ok(Value::from_object(Shown { form: Form::View(name), values }))
}

/// `range`.
pub(super) fn range(first: i64, second: Option<i64>, step: Option<i64>) -> Result<Value, Error> {
    let (start, end) = second.map_or((0, first), |end| (first, end));
    let invalid = |message| Error::new(ErrorKind::InvalidOperation, message);
    let size = match step.unwrap_or(1) {
        0 => return Err(invalid("a range has steps that are not 0")),
        size => size,
    };
    let is_before = |number: &i64| if size > 0 { *number < end } else { *number > end };
    let numbers = std::iter::successors(Some(start), |number| number.checked_add(size));
    let values: Vec<Value> = numbers.take_while(is_before).take(MOST + 1).map(Value::from).collect();
    if values.len() > MOST {
        return Err(invalid("a range has more than 100000 numbers"));
    }
    let text = match step {
        Some(step) if step != 1 => format!("range({start}, {end}, {step})"),
        _ => format!("range({start}, {end})"),
    };
    Ok(Value::from_object(Shown { form: Form::Range(text), values }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &Value) -> String {
        repr(value)
    }

    #[test]
    fn lists_are_shown_as_what_python_has_for_them() {
        assert_eq!(shown(&tuple(vec![])), "()");
        assert_eq!(shown(&tuple(vec![Value::from(1)])), "(1,)");
        assert_eq!(shown(&tuple(vec![Value::from("a"), Value::from(2.0)])), "('a', 2.0)");
        let dictionary = Value::from_serialize(serde_json::json!({"a": [1]}));
        for (method, expected) in [
            ("keys", "dict_keys(['a'])"),
            ("values", "dict_values([[1]])"),
            ("items", "dict_items([('a', [1])])"),
        ] {
            assert_eq!(shown(&view(&dictionary, method).unwrap()), expected);
        }
    }

    #[test]
    fn ranges_go_both_ways_and_end() {
        let numbers =
            |range: Value| range.try_iter().unwrap().map(|x| i64::try_from(x).unwrap()).collect::<Vec<_>>();
        assert_eq!(numbers(range(3, None, None).unwrap()), [0, 1, 2]);
        assert_eq!(numbers(range(5, Some(0), Some(-2)).unwrap()), [5, 3, 1]);
        assert_eq!(numbers(range(5, Some(0), None).unwrap()), Vec::<i64>::new());
        assert_eq!(shown(&range(1, Some(7), Some(2)).unwrap()), "range(1, 7, 2)");
        assert_eq!(
            range(1, Some(2), Some(0)).unwrap_err().detail(),
            Some("a range has steps that are not 0")
        );
        assert!(range(i64::MAX, None, None).is_err());
    }
}
