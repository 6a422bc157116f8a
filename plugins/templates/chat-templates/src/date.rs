//! The day, in the spellings that templates use.

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The text of a place that names a part of `date`, which is written `2025-03-14`.
pub(crate) fn place(name: &str, date: &str) -> Option<String> {
    let mut parts = date.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    Some(match name {
        "DATE" => date.to_owned(),
        "YEAR" => year.to_owned(),
        "DAY" => day.to_owned(),
        "MONTH_NAME" => (*MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?)?).to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_several_spellings() {
        let [date, month, other] = ["DATE", "MONTH_NAME", "QUERY"].map(|name| place(name, "2025-03-14"));
        assert_eq!((date.as_deref(), month.as_deref(), other), (Some("2025-03-14"), Some("Mar"), None));
    }
}
