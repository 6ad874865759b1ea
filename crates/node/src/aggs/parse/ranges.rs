//! Parameters of aggregations that cut a field into ranges, intervals or filters.

use super::{
    ApiError, Arc, Body, Bounds, Clause, DateHistogram, Filters, Histogram, Interval, Kind, Range, Result,
    Value, boolean, content, query, token,
};

impl<'a> Body<'a> {
    pub(super) fn range(mut self, dates: bool) -> Result<Kind> {
        let (mut keyed, mut ranges, mut time_zone) = (false, Vec::new(), None);
        for (key, value) in self.members {
            match key.as_str() {
                "keyed" => keyed = boolean(value)?,
                "time_zone" if dates => time_zone = Some(self.zone(key, value)?),
                "ranges" => {
                    let Value::Array(list) = value else { return Err(self.unknown(key)) };
                    ranges = list
                        .iter()
                        .map(|range| self.bounds(range))
                        .collect::<Result<_>>()
                        .map_err(|cause| self.failed(key, &cause))?;
                }
                _ if self.source_key(key, value)? => {}
                _ => return Err(self.unknown(key)),
            }
        }
        if ranges.is_empty() {
            return Err(ApiError::illegal_argument(format!(
                "No [ranges] specified for the [{}] aggregation",
                self.name
            )));
        }
        Ok(Kind::Range(Range { source: self.source()?, dates, keyed, time_zone, ranges }))
    }

    fn bounds(&self, range: &Value) -> Result<Bounds> {
        let object = range.as_object().ok_or_else(|| self.unknown("ranges"))?;
        let mut bounds = Bounds { key: None, from: None, to: None };
        for (key, value) in object {
            match key.as_str() {
                "key" => bounds.key = value.as_str().map(str::to_owned),
                "from" if !value.is_null() => bounds.from = Some(value.clone()),
                "to" if !value.is_null() => bounds.to = Some(value.clone()),
                "from" | "to" => {}
                other => return Err(content(format!("[range] unknown field [{other}]"))),
            }
        }
        Ok(bounds)
    }

    fn pair<T>(
        &self,
        key: &str,
        value: &'a Value,
        read: impl Fn(&str, &'a Value) -> Result<T>,
    ) -> Result<(Option<T>, Option<T>)> {
        let object = value.as_object().ok_or_else(|| {
            content(format!("[{}] {key} doesn't support values of type: {}", self.type_name, token(value)))
        })?;
        let (mut min, mut max) = (None, None);
        for (name, value) in object {
            match name.as_str() {
                _ if value.is_null() => {}
                "min" => min = Some(read(name, value)?),
                "max" => max = Some(read(name, value)?),
                other => return Err(content(format!("[{key}] unknown field [{other}]"))),
            }
        }
        Ok((min, max))
    }

    pub(super) fn histogram(mut self) -> Result<Kind> {
        let (mut interval, mut offset, mut min_doc_count, mut keyed) = (None, 0.0, 0, false);
        let (mut extended, mut hard, mut order) = (None, None, Vec::new());
        for (key, value) in self.members {
            match key.as_str() {
                "interval" => {
                    let number = self.number(key, value)?;
                    if number.is_nan() || number <= 0.0 {
                        let cause = ApiError::illegal_argument(format!(
                            "[interval] must be >0 for histogram aggregation [{}]",
                            self.name
                        ));
                        return Err(self.failed(key, &cause));
                    }
                    interval = Some(number);
                }
                "offset" => offset = self.number(key, value)?,
                "min_doc_count" => min_doc_count = self.count(key, value, 0)?,
                "keyed" => keyed = boolean(value)?,
                "order" => order = self.order(key, value)?,
                "extended_bounds" | "hard_bounds" => {
                    let (min, max) = self.pair(key, value, |name, value| self.number(name, value))?;
                    if let (Some(min), Some(max)) = (min, max)
                        && max < min
                    {
                        let cause = ApiError::illegal_argument(format!(
                            "max bound [{max:?}] must be greater than min bound [{min:?}]"
                        ));
                        return Err(self.failed(key, &cause));
                    }
                    let bounds = Some((min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY)));
                    if key == "hard_bounds" {
                        hard = bounds;
                    } else {
                        extended = bounds;
                    }
                }
                _ if self.source_key(key, value)? => {}
                _ => return Err(self.unknown(key)),
            }
        }
        let name = self.name;
        let interval = interval.ok_or_else(|| {
            ApiError::illegal_argument(format!("[interval] must be >0 for histogram aggregation [{name}]"))
        })?;
        let source = self.source()?;
        Ok(Kind::Histogram(Histogram {
            source,
            interval,
            offset,
            min_doc_count,
            keyed,
            extended,
            hard,
            order,
        }))
    }

    pub(super) fn date_histogram(mut self) -> Result<Kind> {
        let (mut interval, mut offset, mut min_doc_count, mut keyed) = (None, 0, 0, false);
        let (mut extended, mut hard, mut order, mut time_zone) = (None, None, Vec::new(), None);
        for (key, value) in self.members {
            match key.as_str() {
                "calendar_interval" | "fixed_interval" => {
                    if interval.is_some() {
                        let cause = ApiError::illegal_argument(
                            "Cannot use [fixed_interval] with [calendar_interval] configuration option.",
                        );
                        return Err(self.failed(key, &cause));
                    }
                    let text = self.text(key, value)?;
                    let parsed = if key == "fixed_interval" {
                        Interval::fixed(text)
                    } else {
                        Interval::calendar(text)
                    };
                    interval = Some(parsed.map_err(|cause| self.failed(key, &cause))?);
                }
                "time_zone" => time_zone = Some(self.zone(key, value)?),
                "offset" => {
                    offset =
                        crate::aggs::interval::offset(value).map_err(|cause| self.failed(key, &cause))?;
                }
                "min_doc_count" => min_doc_count = self.count(key, value, 0)?,
                "keyed" => keyed = boolean(value)?,
                "order" => order = self.order(key, value)?,
                "extended_bounds" => extended = Some(self.pair(key, value, |_, value| Ok(value.clone()))?),
                "hard_bounds" => hard = Some(self.pair(key, value, |_, value| Ok(value.clone()))?),
                _ if self.source_key(key, value)? => {}
                _ => return Err(self.unknown(key)),
            }
        }
        let interval = interval.ok_or_else(|| {
            ApiError::illegal_argument("Invalid interval specified, must be non-null and non-empty")
        })?;
        let source = self.source()?;
        Ok(Kind::DateHistogram(Box::new(DateHistogram {
            source,
            interval,
            time_zone,
            offset,
            min_doc_count,
            keyed,
            extended,
            hard,
            order,
        })))
    }

    pub(super) fn filters(self) -> Result<Kind> {
        let (mut filters, mut keyed, mut named) = (Vec::<(String, Arc<dyn Clause>)>::new(), None, true);
        let (mut other_bucket, mut other_key) = (false, None);
        for (key, value) in self.members {
            match (key.as_str(), value) {
                ("filters", Value::Object(object)) => {
                    filters = object
                        .iter()
                        .map(|(name, filter)| Ok((name.clone(), query::parse(filter)?.into())))
                        .collect::<Result<_>>()?;
                }
                ("filters", Value::Array(list)) => {
                    named = false;
                    filters = list
                        .iter()
                        .map(|filter| Ok((String::new(), query::parse(filter)?.into())))
                        .collect::<Result<_>>()?;
                }
                ("other_bucket", value) => other_bucket = boolean(value)?,
                ("other_bucket_key", value) => other_key = Some(self.text(key, value)?.to_owned()),
                ("keyed", value) => keyed = Some(boolean(value)?),
                (other, value) => {
                    return Err(ApiError::parsing(format!(
                        "Unknown key for a {} in [{}]: [{other}].",
                        token(value),
                        self.name
                    )));
                }
            }
        }
        if filters.is_empty() {
            return Err(ApiError::illegal_argument("[filters] cannot be empty."));
        }
        let other =
            (other_bucket || other_key.is_some()).then(|| other_key.unwrap_or_else(|| "_other_".to_owned()));
        if keyed == Some(false) && named {
            return Err(self.unsupported("keyed"));
        }
        Ok(Kind::Filters(Filters { list: filters, keyed: named, other }))
    }
}
