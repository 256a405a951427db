//! Status codes, the error text of each thread, and the border that no panic crosses.

use std::{
    cell::RefCell,
    ffi::{CString, c_char},
    panic::{AssertUnwindSafe, catch_unwind},
};

use mcnn::{Error, error::Kind};

/// The result of a call. Every value but MCNN_STATUS_OK leaves a text for mcnn_last_error.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum McnnStatus {
    /// Done.
    Ok = 0,
    /// A null pointer, or an array of another length than the policy's.
    Argument = 1,
    /// Values that are not valid, such as a NaN in an observation.
    Data = 2,
    /// A setting out of range, or one that the policy does not have.
    Settings = 3,
    /// Parts that do not fit together.
    Mismatch = 4,
    /// A file that cannot be read or is not a policy.
    File = 5,
    /// An error inside the library. A session it happened in cannot be used any more.
    Internal = 6,
}

thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
}

/// What went wrong in the last call of this thread that failed, in one line of UTF-8; empty before the first. The text is valid until the next
/// call of this thread that fails, or until the thread ends.
#[unsafe(no_mangle)]
pub extern "C" fn mcnn_last_error() -> *const c_char {
    // A destructor of the thread's own may call this after LAST is gone.
    LAST.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

/// Why a call fails.
pub struct Failure(pub McnnStatus, pub String);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            Kind::Data => McnnStatus::Data,
            Kind::Settings => McnnStatus::Settings,
            Kind::Mismatch => McnnStatus::Mismatch,
            Kind::File => McnnStatus::File,
            Kind::Task => McnnStatus::Internal,
        };
        Self(status, error.to_string())
    }
}

pub type Outcome<T = ()> = Result<T, Failure>;

/// A failure of the caller.
pub fn argument(text: impl Into<String>) -> Failure {
    Failure(McnnStatus::Argument, text.into())
}

/// Runs the work of a call. A panic is a failure.
pub fn call(work: impl FnOnce() -> Outcome) -> McnnStatus {
    // What a panic leaves half done is not used again: sessions note it themselves.
    let outcome = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
        Err(Failure(McnnStatus::Internal, format!("an error inside mcnn: {text}")))
    });
    match outcome {
        Ok(()) => McnnStatus::Ok,
        Err(Failure(status, text)) => {
            let text = text.replace(['\0', '\n'], " ");
            let text = CString::new(text).unwrap_or_default();
            let _ = LAST.try_with(|last| last.replace(text));
            status
        }
    }
}

/// What a pointer points at.
///
/// # Safety
/// The pointer is null, or points at a `T` that no one writes meanwhile.
pub unsafe fn shared<'a, T>(pointer: *const T, name: &str) -> Outcome<&'a T> {
    // SAFETY: as this function's caller promises; null is checked.
    unsafe { pointer.as_ref() }.ok_or_else(|| argument(format!("{name} is NULL")))
}

/// What a pointer points at, to be changed.
///
/// # Safety
/// The pointer is null, or points at a `T` that no one else uses meanwhile.
pub unsafe fn exclusive<'a, T>(pointer: *mut T, name: &str) -> Outcome<&'a mut T> {
    // SAFETY: as this function's caller promises; null is checked.
    unsafe { pointer.as_mut() }.ok_or_else(|| argument(format!("{name} is NULL")))
}

/// An array to read.
///
/// # Safety
/// The pointer is null, or points at `length` values that no one writes meanwhile.
pub unsafe fn array<'a, T>(pointer: *const T, length: usize, name: &str) -> Outcome<&'a [T]> {
    if pointer.is_null() {
        return Err(argument(format!("{name} is NULL")));
    }
    if length.checked_mul(size_of::<T>()).is_none_or(|bytes| bytes > isize::MAX as usize) {
        return Err(argument(format!("{name} has {length} values, more than the address space")));
    }
    // SAFETY: as this function's caller promises; null and sizes beyond those of an array are checked.
    Ok(unsafe { std::slice::from_raw_parts(pointer, length) })
}

/// Checks that there is a place to write to. It may be uninitialized, so no reference to it is made.
pub fn check_out<T>(pointer: *mut T, name: &str) -> Outcome {
    if pointer.is_null() { Err(argument(format!("{name} is NULL"))) } else { Ok(()) }
}

/// Checks the length of an array of the caller's.
pub fn check_length(name: &str, expected: usize, found: usize) -> Outcome {
    if expected == found {
        return Ok(());
    }
    Err(argument(format!("{name} has {found} values, and the policy's has {expected}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    fn last() -> String {
        // SAFETY: the text of this thread lives until its next failure.
        unsafe { CStr::from_ptr(mcnn_last_error()) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_panic_is_a_status_with_a_text_and_texts_are_by_thread() {
        assert_eq!(last(), "");
        let index = std::hint::black_box(7);
        let panics = || {
            std::hint::black_box([1, 2][index]);
            Ok(())
        };
        assert_eq!(call(panics), McnnStatus::Internal);
        assert!(last().contains("index out of bounds"), "{}", last());
        assert_eq!(call(|| panic!("{} and\n\0", 5)), McnnStatus::Internal);
        assert_eq!(last(), "an error inside mcnn: 5 and  ");
        assert_eq!(std::thread::spawn(last).join().unwrap(), "");
        // While a thread ends, its text may be gone already.
        struct AtEnd;
        impl Drop for AtEnd {
            fn drop(&mut self) {
                assert_eq!(call(|| Err(argument("late"))), McnnStatus::Argument);
                last();
            }
        }
        thread_local!(static AT_END: AtEnd = const { AtEnd });
        let ends = || {
            AT_END.with(|_| ());
            call(|| Err(argument("early")));
        };
        std::thread::spawn(ends).join().unwrap();
        assert_eq!(call(|| Ok(())), McnnStatus::Ok);
        assert!(last().contains("5 and"), "a success keeps the text");
    }
}
