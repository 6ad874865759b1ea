//! Spatial values → GeoJSON, which Elasticsearch takes for `geo_shape` and `geo_point`.
//!
//! A value is the number of its reference system (4 bytes) and well-known binary of the OGC: byte order, type, coordinates.
//! The server keeps x before y (longitude before latitude), as GeoJSON wants it.

use serde_json::{Value, json};

/// How deep collections may lie in each other.
const MAX_DEPTH: usize = 16;

/// The value as GeoJSON; null for an empty point; none if it is not understood.
pub(super) fn geo_json(value: &[u8]) -> Option<Value> {
    let mut reader = Reader { rest: value.get(4..)? };
    let shape = reader.geometry(0)?;
    reader.rest.is_empty().then_some(shape)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*head)
    }

    fn number(&mut self, little: bool) -> Option<u32> {
        let bytes = self.take::<4>()?;
        Some(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    fn coordinate(&mut self, little: bool) -> Option<f64> {
        let bytes = self.take::<8>()?;
        Some(if little { f64::from_le_bytes(bytes) } else { f64::from_be_bytes(bytes) })
    }

    fn point(&mut self, little: bool) -> Option<Value> {
        let (x, y) = (self.coordinate(little)?, self.coordinate(little)?);
        Some(json!([x, y]))
    }

    /// A counted list. The count is not trusted with memory: each item has to be there.
    fn list(&mut self, little: bool, mut item: impl FnMut(&mut Self) -> Option<Value>) -> Option<Vec<Value>> {
        let count = self.number(little)?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(item(self)?);
        }
        Some(items)
    }

    fn points(&mut self, little: bool) -> Option<Value> {
        self.list(little, |reader| reader.point(little)).map(Value::Array)
    }

    fn rings(&mut self, little: bool) -> Option<Value> {
        self.list(little, |reader| reader.points(little)).map(Value::Array)
    }

    fn geometry(&mut self, depth: usize) -> Option<Value> {
        let little = match self.take::<1>()? {
            [0] => false,
            [1] => true,
            _ => return None,
        };
        let shape = |name: &str, coordinates: Value| json!({"type": name, "coordinates": coordinates});
        Some(match self.number(little)? {
            1 => match self.point(little)? {
                // Not a number: POINT EMPTY.
                Value::Array(point) if point.iter().any(Value::is_null) => Value::Null,
                point => shape("Point", point),
            },
            2 => shape("LineString", self.points(little)?),
            3 => shape("Polygon", self.rings(little)?),
            4 => shape("MultiPoint", self.parts(little, depth)?),
            5 => shape("MultiLineString", self.parts(little, depth)?),
            6 => shape("MultiPolygon", self.parts(little, depth)?),
            7 if depth < MAX_DEPTH => {
                let shapes = self.list(little, |reader| reader.geometry(depth + 1))?;
                json!({"type": "GeometryCollection", "geometries": shapes})
            }
            _ => return None,
        })
    }

    /// The coordinates of the parts of a multi-geometry, each of which is a geometry of its own.
    fn parts(&mut self, little: bool, depth: usize) -> Option<Value> {
        if depth >= MAX_DEPTH {
            return None;
        }
        self.list(little, |reader| {
            let mut part = reader.geometry(depth + 1)?;
            part.get_mut("coordinates").map(Value::take)
        })
        .map(Value::Array)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(x: f64, y: f64) -> Vec<u8> {
        let mut bytes = vec![1, 1, 0, 0, 0];
        bytes.extend(x.to_le_bytes());
        bytes.extend(y.to_le_bytes());
        bytes
    }

    fn with_srid(shape: Vec<u8>) -> Vec<u8> {
        [vec![0xe6, 0x10, 0, 0], shape].concat()
    }

    fn list(kind: u8, count: u8, items: Vec<u8>) -> Vec<u8> {
        [vec![1, kind, 0, 0, 0, count, 0, 0, 0], items].concat()
    }

    #[test]
    fn shapes_become_geo_json() {
        let coordinates = |points: &[(f64, f64)]| {
            points.iter().flat_map(|(x, y)| [x.to_le_bytes(), y.to_le_bytes()].concat()).collect::<Vec<_>>()
        };
        let ring = [vec![3, 0, 0, 0], coordinates(&[(0.0, 0.0), (1.0, 0.0), (0.0, 0.0)])].concat();
        for (shape, expected) in [
            (point(1.5, -2.0), json!({"type": "Point", "coordinates": [1.5, -2.0]})),
            (point(f64::NAN, f64::NAN), Value::Null),
            (
                list(2, 2, coordinates(&[(1.0, 2.0), (3.0, 4.0)])),
                json!({"type": "LineString", "coordinates": [[1.0, 2.0], [3.0, 4.0]]}),
            ),
            (
                list(3, 1, ring.clone()),
                json!({"type": "Polygon", "coordinates": [[[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]]}),
            ),
            (
                list(4, 2, [point(1.0, 2.0), point(3.0, 4.0)].concat()),
                json!({"type": "MultiPoint", "coordinates": [[1.0, 2.0], [3.0, 4.0]]}),
            ),
            (
                list(5, 1, list(2, 1, coordinates(&[(1.0, 2.0)]))),
                json!({"type": "MultiLineString", "coordinates": [[[1.0, 2.0]]]}),
            ),
            (
                list(6, 1, list(3, 1, ring)),
                json!({"type": "MultiPolygon", "coordinates": [[[[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]]]}),
            ),
            (
                list(7, 1, point(1.0, 2.0)),
                json!({"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [1.0, 2.0]}]}),
            ),
            (list(7, 0, vec![]), json!({"type": "GeometryCollection", "geometries": []})),
        ] {
            assert_eq!(geo_json(&with_srid(shape)), Some(expected));
        }
    }

    #[test]
    fn the_byte_order_may_be_the_other() {
        let mut bytes = vec![0, 0, 0, 0, 0, 0, 0, 0, 1];
        bytes.extend(7.0_f64.to_be_bytes());
        bytes.extend(8.0_f64.to_be_bytes());
        assert_eq!(geo_json(&bytes), Some(json!({"type": "Point", "coordinates": [7.0, 8.0]})));
    }

    #[test]
    fn nonsense_is_not_understood() {
        let deep = (0..40).fold(point(1.0, 1.0), |shape, _| list(7, 1, shape));
        for bytes in [
            vec![],
            vec![0; 3],
            with_srid(vec![2, 1, 0, 0, 0]),
            with_srid(point(1.0, 2.0)[..10].to_vec()),
            with_srid([point(1.0, 2.0), vec![0]].concat()),
            with_srid(list(9, 0, vec![])),
            with_srid(vec![1, 2, 0, 0, 0, 255, 255, 255, 255]),
            with_srid(deep),
        ] {
            assert_eq!(geo_json(&bytes), None, "{bytes:?}");
        }
    }
}
