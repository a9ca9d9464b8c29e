//! Tables of columns, and Parquet files of them: 64-bit integers, of which some may be missing, 64-bit floats, text and
//! dates. A file's metadata has the units of its columns, as JSON under `units`.
//!
//! A file's bytes depend only on the rows and their order: row groups end after [`ROWS_A_GROUP`] rows, wherever the
//! rows came from, and a file contains no time and no path.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use cbdc_economy::Cell;
use cbdc_economy::results::Row;
use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::column::reader::ColumnReader;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;

use crate::error::SweepError;

/// Rows in a row group of a merged file.
pub const ROWS_A_GROUP: usize = 65_536;

/// The values of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    Integer(Vec<i64>),
    Optional(Vec<Option<i64>>),
    Number(Vec<f64>),
    Text(Vec<String>),
    /// Days since 1970-01-01.
    Date(Vec<i32>),
}

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub name: String,
    pub values: Values,
}

/// Columns of one length.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Table {
    pub columns: Vec<Column>,
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Values::Integer(values) => values.len(),
            Values::Optional(values) => values.len(),
            Values::Number(values) => values.len(),
            Values::Text(values) => values.len(),
            Values::Date(values) => values.len(),
        }
    }

    fn empty_like(&self) -> Values {
        match self {
            Values::Integer(_) => Values::Integer(Vec::new()),
            Values::Optional(_) => Values::Optional(Vec::new()),
            Values::Number(_) => Values::Number(Vec::new()),
            Values::Text(_) => Values::Text(Vec::new()),
            Values::Date(_) => Values::Date(Vec::new()),
        }
    }

    /// Moves the other's values to the end of these; false if they are of another type.
    fn append(&mut self, other: Values) -> bool {
        match (self, other) {
            (Values::Integer(values), Values::Integer(more)) => values.extend(more),
            (Values::Number(values), Values::Number(more)) => values.extend(more),
            (Values::Text(values), Values::Text(more)) => values.extend(more),
            (Values::Optional(values), Values::Optional(more)) => values.extend(more),
            (Values::Date(values), Values::Date(more)) => values.extend(more),
            _ => return false,
        }
        true
    }

    fn split_off(&mut self, at: usize) -> Values {
        match self {
            Values::Integer(values) => Values::Integer(values.split_off(at)),
            Values::Number(values) => Values::Number(values.split_off(at)),
            Values::Text(values) => Values::Text(values.split_off(at)),
            Values::Optional(values) => Values::Optional(values.split_off(at)),
            Values::Date(values) => Values::Date(values.split_off(at)),
        }
    }
}

impl Column {
    /// A column of whole numbers.
    pub fn integer(name: &str, values: Vec<i64>) -> Column {
        Column { name: name.to_owned(), values: Values::Integer(values) }
    }

    /// A column of numbers.
    pub fn number(name: &str, values: Vec<f64>) -> Column {
        Column { name: name.to_owned(), values: Values::Number(values) }
    }

    /// A column of texts.
    pub fn text(name: &str, values: Vec<String>) -> Column {
        Column { name: name.to_owned(), values: Values::Text(values) }
    }
}

impl Table {
    /// Makes a table of the economy's rows. The types are those of a default row, so that a table without rows has them
    /// too.
    pub fn of<R: Row + Default>(rows: &[R]) -> Table {
        let kinds = R::default().cells();
        let mut columns: Vec<Column> = R::COLUMNS
            .iter()
            .zip(&kinds)
            .map(|(name, kind)| match kind {
                Cell::Integer(_) => Column::integer(name, Vec::with_capacity(rows.len())),
                Cell::Number(_) => Column::number(name, Vec::with_capacity(rows.len())),
                Cell::Text(_) => Column::text(name, Vec::with_capacity(rows.len())),
                Cell::Optional(_) => Column { name: (*name).to_owned(), values: Values::Optional(Vec::new()) },
                Cell::Date(_) => Column { name: (*name).to_owned(), values: Values::Date(Vec::new()) },
            })
            .collect();
        for row in rows {
            for (column, cell) in columns.iter_mut().zip(row.cells()) {
                match (&mut column.values, cell) {
                    (Values::Integer(values), Cell::Integer(value)) => values.push(value),
                    (Values::Number(values), Cell::Number(value)) => values.push(value),
                    (Values::Text(values), Cell::Text(value)) => values.push(value),
                    (Values::Optional(values), Cell::Optional(value)) => values.push(value),
                    (Values::Date(values), Cell::Date(value)) => values.push(value),
                    _ => unreachable!("a column of the economy has one type in all rows"),
                }
            }
        }
        Table { columns }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, |column| column.values.len())
    }

    /// A column's whole numbers; empty if there is no such column.
    pub fn integers(&self, name: &str) -> &[i64] {
        match self.columns.iter().find(|column| column.name == name).map(|column| &column.values) {
            Some(Values::Integer(values)) => values,
            _ => &[],
        }
    }

    /// A column of either kind of number as floats; empty if there is no such column.
    pub fn numbers(&self, name: &str) -> Vec<f64> {
        match self.columns.iter().find(|column| column.name == name).map(|column| &column.values) {
            Some(Values::Integer(values)) => values.iter().map(|value| *value as f64).collect(),
            Some(Values::Number(values)) => values.clone(),
            Some(Values::Optional(values)) => {
                values.iter().map(|value| value.map_or(f64::NAN, |value| value as f64)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The table with further columns before its own, each with one value for all rows.
    pub fn led_by(mut self, leading: &[(&str, i64)]) -> Table {
        let rows = self.rows();
        let mut columns: Vec<Column> =
            leading.iter().map(|(name, value)| Column::integer(name, vec![*value; rows])).collect();
        columns.append(&mut self.columns);
        Table { columns }
    }

    /// Writes the table as a separate file and returns the file's BLAKE3.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(self, path: &Path) -> Result<String, SweepError> {
        let mut writer = TableWriter::new(path)?;
        writer.append(self)?;
        writer.finish()?;
        let bytes = std::fs::read(path).map_err(SweepError::file(path, "read again"))?;
        Ok(blake3::hash(&bytes).to_hex().to_string())
    }

    /// Reads the table of a file whose bytes have this BLAKE3.
    ///
    /// # Errors
    /// The file cannot be read, is another one, or has columns of unknown types.
    pub fn read(path: &Path, hash: &str) -> Result<Table, SweepError> {
        let bytes = std::fs::read(path).map_err(SweepError::file(path, "read"))?;
        let found = blake3::hash(&bytes).to_hex().to_string();
        if found != hash {
            let expected = format!("a file with the hash {hash}, as run.json says");
            return Err(SweepError::unexpected(
                path,
                expected,
                format!("{found}: remove the run's folder to repeat it"),
            ));
        }
        read_columns(Bytes::from(bytes)).map_err(SweepError::table(path))
    }
}

fn read_columns(bytes: Bytes) -> Result<Table, ParquetError> {
    let reader = SerializedFileReader::new(bytes)?;
    let metadata = reader.metadata();
    let names: Vec<String> =
        metadata.file_metadata().schema_descr().columns().iter().map(|column| column.name().to_owned()).collect();
    let mut table = Table::default();
    for (at, name) in names.iter().enumerate() {
        let is_optional = metadata.file_metadata().schema_descr().column(at).max_def_level() > 0;
        let mut whole: Option<Values> = None;
        for group in 0..reader.num_row_groups() {
            let rows = usize::try_from(metadata.row_group(group).num_rows()).unwrap_or(0);
            let values = read_values(reader.get_row_group(group)?.get_column_reader(at)?, rows, is_optional)?;
            match &mut whole {
                None => whole = Some(values),
                Some(whole) => drop(whole.append(values)),
            }
        }
        let values = match whole {
            Some(values) => values,
            None => match metadata.file_metadata().schema_descr().column(at).physical_type() {
                Physical::INT64 if is_optional => Values::Optional(Vec::new()),
                Physical::INT64 => Values::Integer(Vec::new()),
                Physical::INT32 => Values::Date(Vec::new()),
                Physical::DOUBLE => Values::Number(Vec::new()),
                _ => Values::Text(Vec::new()),
            },
        };
        table.columns.push(Column { name: name.clone(), values });
    }
    Ok(table)
}

fn read_values(reader: ColumnReader, rows: usize, is_optional: bool) -> Result<Values, ParquetError> {
    match reader {
        ColumnReader::Int64ColumnReader(mut reader) if is_optional => {
            let (mut values, mut levels) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
            reader.read_records(rows, Some(&mut levels), None, &mut values)?;
            let mut present = values.into_iter();
            Ok(Values::Optional(
                levels.into_iter().map(|level| if level > 0 { present.next() } else { None }).collect(),
            ))
        }
        ColumnReader::Int32ColumnReader(mut reader) => {
            let mut values = Vec::with_capacity(rows);
            reader.read_records(rows, None, None, &mut values)?;
            Ok(Values::Date(values))
        }
        ColumnReader::Int64ColumnReader(mut reader) => {
            let mut values = Vec::with_capacity(rows);
            reader.read_records(rows, None, None, &mut values)?;
            Ok(Values::Integer(values))
        }
        ColumnReader::DoubleColumnReader(mut reader) => {
            let mut values = Vec::with_capacity(rows);
            reader.read_records(rows, None, None, &mut values)?;
            Ok(Values::Number(values))
        }
        ColumnReader::ByteArrayColumnReader(mut reader) => {
            let mut values = Vec::with_capacity(rows);
            reader.read_records(rows, None, None, &mut values)?;
            let text = |bytes: &ByteArray| bytes.as_utf8().map(str::to_owned);
            values.iter().map(text).collect::<Result<_, _>>().map(Values::Text)
        }
        _ => Err(ParquetError::General("expected columns of INT64, DOUBLE or text, found another type".to_owned())),
    }
}

/// A Parquet file being written, table after table.
pub struct TableWriter {
    path: PathBuf,
    waiting: Table,
    writer: Option<SerializedFileWriter<BufWriter<File>>>,
}

impl TableWriter {
    /// Creates a file. Its columns are those of the first table.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn new(path: &Path) -> Result<TableWriter, SweepError> {
        Ok(TableWriter { path: path.to_path_buf(), waiting: Table::default(), writer: None })
    }

    /// Adds a table's rows.
    ///
    /// # Errors
    /// Its columns are not those of the first table, or the disk failed.
    pub fn append(&mut self, table: Table) -> Result<(), SweepError> {
        if self.waiting.columns.is_empty() {
            self.writer = Some(self.begin(&table)?);
            let like = |column: &Column| Column { name: column.name.clone(), values: column.values.empty_like() };
            self.waiting.columns = table.columns.iter().map(like).collect();
        }
        let expected = self.waiting.columns.len();
        let fits = table.columns.len() == expected
            && self
                .waiting
                .columns
                .iter_mut()
                .zip(table.columns)
                .all(|(column, more)| column.name == more.name && column.values.append(more.values));
        if !fits {
            let found = "a run with other columns, which another version of this program wrote";
            return Err(SweepError::unexpected(&self.path, format!("{expected} columns of one kind"), found));
        }
        while self.waiting.rows() >= ROWS_A_GROUP {
            self.write_group(ROWS_A_GROUP)?;
        }
        Ok(())
    }

    /// Writes the remaining rows, closes the file and syncs it.
    ///
    /// # Errors
    /// The disk failed.
    pub fn finish(mut self) -> Result<(), SweepError> {
        if self.waiting.rows() > 0 {
            self.write_group(self.waiting.rows())?;
        }
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let buffer = writer.into_inner().map_err(SweepError::table(&self.path))?;
        let file = buffer.into_inner().map_err(|error| SweepError::file(&self.path, "written")(error.into_error()))?;
        file.sync_all().map_err(SweepError::file(&self.path, "written"))
    }

    fn begin(&self, table: &Table) -> Result<SerializedFileWriter<BufWriter<File>>, SweepError> {
        let file = File::create(&self.path).map_err(SweepError::file(&self.path, "written"))?;
        let schema = schema(table).map_err(SweepError::table(&self.path))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_key_value_metadata(Some(vec![KeyValue::new("units".to_owned(), units(table))]))
            .build();
        SerializedFileWriter::new(BufWriter::new(file), Arc::new(schema), Arc::new(properties))
            .map_err(SweepError::table(&self.path))
    }

    fn write_group(&mut self, rows: usize) -> Result<(), SweepError> {
        let told = SweepError::table(&self.path);
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let mut group = writer.next_row_group().map_err(&told)?;
        for column in &mut self.waiting.columns {
            let rest = column.values.split_off(rows);
            let values = std::mem::replace(&mut column.values, rest);
            let Some(mut writer) = group.next_column().map_err(&told)? else { break };
            match values {
                Values::Integer(values) => writer.typed::<Int64Type>().write_batch(&values, None, None),
                Values::Optional(values) => {
                    let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
                    let present: Vec<i64> = values.into_iter().flatten().collect();
                    writer.typed::<Int64Type>().write_batch(&present, Some(&levels), None)
                }
                Values::Date(values) => writer.typed::<Int32Type>().write_batch(&values, None, None),
                Values::Number(values) => writer.typed::<DoubleType>().write_batch(&values, None, None),
                Values::Text(values) => {
                    let values: Vec<ByteArray> = values.iter().map(|text| ByteArray::from(text.as_str())).collect();
                    writer.typed::<ByteArrayType>().write_batch(&values, None, None)
                }
            }
            .map_err(&told)?;
            writer.close().map_err(&told)?;
        }
        group.close().map_err(&told)?;
        Ok(())
    }
}

/// The units of a table's columns, as a JSON object. Units are last in a column's name.
fn units(table: &Table) -> String {
    let unit = |name: &str| match name {
        _ if name.contains("_minor") => "minor units of the currency (cents)",
        _ if name.contains("ratio_ppm") => "parts per million",
        _ if name.contains("_ppm") => "parts per million a year",
        _ if name.ends_with("_share") || name.ends_with("_change") || name.starts_with("trust_") => "share of 1",
        "cbdc_of_liquid_wealth" => "share of 1",
        "price_level" => "1 at the start",
        "day" | "days" => "days",
        "date" => "calendar date",
        _ => "",
    };
    let named = table.columns.iter().map(|column| (column.name.as_str(), unit(&column.name)));
    let known: BTreeMap<&str, &str> = named.filter(|(_, unit)| !unit.is_empty()).collect();
    serde_json::to_string(&known).expect("texts always have a JSON form")
}

fn schema(table: &Table) -> Result<Type, ParquetError> {
    let field = |column: &Column| {
        let is_optional = matches!(column.values, Values::Optional(_));
        let (physical, logical) = match column.values {
            Values::Integer(_) | Values::Optional(_) => (Physical::INT64, None),
            Values::Date(_) => (Physical::INT32, Some(LogicalType::Date)),
            Values::Number(_) => (Physical::DOUBLE, None),
            Values::Text(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        };
        let field = Type::primitive_type_builder(&column.name, physical)
            .with_repetition(if is_optional { Repetition::OPTIONAL } else { Repetition::REQUIRED })
            .with_logical_type(logical)
            .build()?;
        Ok(Arc::new(field))
    };
    let fields = table.columns.iter().map(field).collect::<Result<Vec<_>, ParquetError>>()?;
    Type::group_type_builder("table").with_fields(fields).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: i64) -> Table {
        Table {
            columns: vec![
                Column::integer("whole", (0..rows).collect()),
                Column::number("share", (0..rows).map(|row| row as f64 / 7.0).collect()),
                Column::text("word", (0..rows).map(|row| format!("é{}", row % 3)).collect()),
                Column {
                    name: "limit_minor".to_owned(),
                    values: Values::Optional((0..rows).map(|row| Some(row).filter(|row| row % 3 > 0)).collect()),
                },
                Column { name: "date".to_owned(), values: Values::Date((0..rows as i32).collect()) },
            ],
        }
    }

    #[test]
    fn what_is_written_is_read_back_to_the_bit() {
        let folder = tempfile::tempdir().unwrap();
        for rows in [0, 1, 100, ROWS_A_GROUP as i64 + 5] {
            let path = folder.path().join("t.parquet");
            let hash = table(rows).write(&path).unwrap();
            assert_eq!(Table::read(&path, &hash).unwrap(), table(rows));
        }
    }

    #[test]
    fn a_file_tells_the_units_of_its_columns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        table(3).write(&path).unwrap();
        let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
        let metadata = reader.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
        let units = metadata.iter().find(|pair| pair.key == "units").and_then(|pair| pair.value.clone());
        let expected = r#"{"date":"calendar date","limit_minor":"minor units of the currency (cents)"}"#;
        assert_eq!(units.as_deref(), Some(expected));
    }

    #[test]
    fn a_file_does_not_tell_in_how_many_pieces_its_rows_came() {
        let folder = tempfile::tempdir().unwrap();
        let (whole, pieces) = (folder.path().join("whole"), folder.path().join("pieces"));
        let rows = ROWS_A_GROUP as i64 * 2 + 9;
        let hash = table(rows).write(&whole).unwrap();
        let mut writer = TableWriter::new(&pieces).unwrap();
        let mut rest = table(rows);
        while rest.rows() > 0 {
            let size = rest.rows().min(10_007);
            let after = rest
                .columns
                .iter_mut()
                .map(|column| Column { name: column.name.clone(), values: column.values.split_off(size) })
                .collect();
            writer.append(std::mem::replace(&mut rest, Table { columns: after })).unwrap();
        }
        writer.finish().unwrap();
        assert_eq!(blake3::hash(&std::fs::read(&pieces).unwrap()).to_hex().to_string(), hash);
    }

    #[test]
    fn a_file_that_was_changed_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        let hash = table(5).write(&path).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[10] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(Table::read(&path, &hash), Err(SweepError::Unexpected { .. })));
    }

    #[test]
    fn tables_with_other_columns_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = TableWriter::new(&folder.path().join("t.parquet")).unwrap();
        writer.append(table(3)).unwrap();
        assert!(writer.append(Table { columns: table(3).columns[1..].to_vec() }).is_err());
    }
}
