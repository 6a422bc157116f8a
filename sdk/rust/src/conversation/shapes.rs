//! Columns whose values files write in several ways, in the one way that samples have.

use serde_json::{Map, Value, json};

use super::columns::Columns;
use super::literal;
use crate::{Result, bail};

/// Makes one spelling of several.
type Standard = fn(&Value) -> Result<Value>;

/// Names of a column, the first of which samples have, and what its values become.
const SHAPES: [(&[&str], Standard); 12] = [
    (&["images", "image"], images),
    (&["rejected_images"], images),
    (&["videos", "video"], several),
    (&["audios", "audio"], several),
    (&["rejected_videos"], several),
    (&["rejected_audios"], several),
    (&["tools"], tools),
    (&["rejected_tools"], tools),
    (&["positive_tools"], tools),
    (&["negative_tools"], tools),
    (&["objects"], objects),
    (&["rejected_objects"], objects),
];

/// Brings all such columns into the one form, together with what messages hold for them.
pub(super) fn standardize(columns: &mut Columns) -> Result<()> {
    for (names, standard) in SHAPES {
        let Some(name) = names.first() else { continue };
        match (columns.take(names)?, columns.take_media(name)) {
            (Some(column), Some(_)) if column != json!([]) => {
                bail!("there are `{name}` in the messages and in a column")
            }
            (_, Some(value)) | (Some(value), None) => columns.put(*name, standard(&value)?),
            (None, None) => {}
        }
    }
    Ok(())
}

/// A list, also of one.
fn several(value: &Value) -> Result<Value> {
    match value {
        Value::Array(_) => Ok(value.clone()),
        value => Ok(json!([value])),
    }
}

/// A list of images, each with its `path` or its `bytes`.
fn images(value: &Value) -> Result<Value> {
    let image = |value: &Value| match value {
        Value::String(path) => Ok(json!({"bytes": null, "path": path})),
        Value::Object(_) => Ok(value.clone()),
        _ => bail!("an image is neither a path nor an object"),
    };
    match value {
        Value::Array(values) => values.iter().map(image).collect(),
        value => Ok(json!([image(value)?])),
    }
}

/// A list of tools, each an object, or text where it is nothing else.
fn tools(value: &Value) -> Result<Value> {
    let tool = |value: &Value| {
        let parsed = value.as_str().and_then(literal::parse);
        parsed.unwrap_or_else(|| value.clone())
    };
    Ok(match tool(value) {
        Value::Array(values) => values.iter().map(tool).collect(),
        value => json!([value]),
    })
}

/// What is marked in images: `ref`, and `bbox` with points of two numbers and boxes of four, whose first corner is the one
/// with the smaller numbers.
fn objects(value: &Value) -> Result<Value> {
    let parsed = value.as_str().and_then(literal::parse);
    let Value::Object(objects) = parsed.as_ref().unwrap_or(value) else {
        bail!("`objects` is not an object");
    };
    let Some(Value::Array(boxes)) = objects.get("bbox") else { bail!("`objects` has no list `bbox`") };
    let mut standard = Map::new();
    for name in ["ref", "bbox", "bbox_type", "image_id"] {
        if let Some(value) = objects.get(name).filter(|value| !value.is_null()) {
            standard.insert(name.into(), value.clone());
        }
    }
    standard.insert("bbox".into(), boxes.iter().map(corners).collect::<Result<_>>()?);
    Ok(Value::Object(standard))
}

fn corners(value: &Value) -> Result<Value> {
    let ordered = |left: &Value, right: &Value| match (left.as_f64(), right.as_f64()) {
        (Some(a), Some(b)) if a > b => Ok((right.clone(), left.clone())),
        (Some(_), Some(_)) => Ok((left.clone(), right.clone())),
        _ => bail!("a box has something else than numbers"),
    };
    match value.as_array().map(Vec::as_slice) {
        Some([x, y]) if x.is_number() && y.is_number() => Ok(value.clone()),
        Some([left, top, right, bottom]) => {
            let ((left, right), (top, bottom)) = (ordered(left, right)?, ordered(top, bottom)?);
            Ok(json!([left, top, right, bottom]))
        }
        _ => bail!("a box has neither two nor four numbers"),
    }
}
