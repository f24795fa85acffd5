//! What SQLite's errors mean to the person at the keyboard.

use std::path::Path;

use ca::StoreError;
use rusqlite::ErrorCode;

/// The store's word for a database error.
pub(crate) fn store_error(path: &Path, error: rusqlite::Error) -> StoreError {
    let file = || path.display().to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        Some(ErrorCode::SystemIoFailure) => StoreError::Disk(file()),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            StoreError::ReadOnly(file())
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
        Some(ErrorCode::DatabaseCorrupt) => StoreError::Corrupt(file()),
        Some(ErrorCode::NotADatabase) => StoreError::Foreign(file()),
        _ => StoreError::Database(Box::new(error)),
    }
}
