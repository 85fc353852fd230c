//! The user who runs a command: the operating system's user, by the number from the kernel, never by a variable that
//! the user could set.

use crate::catalog::Author;

/// The user's name; `uid 10001` where `/etc/passwd` has no name for the number.
#[must_use]
pub fn operator() -> String {
    let uid = rustix::process::getuid().as_raw();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_of(uid, &users).unwrap_or_else(|| format!("uid {uid}"))
}

/// The name of a user number in the text of a `passwd(5)` file.
fn name_of(uid: u32, users: &str) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let number = fields.nth(1)?;
        (number.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// The author of a change: the stated author, and the user who runs the command.
#[must_use]
pub fn author(user: Option<String>) -> Author {
    let operator = operator();
    Author { actor: user.unwrap_or_else(|| operator.clone()), authenticated_as: Some(operator) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_number_has_the_name_that_the_system_gives_it() {
        let users =
            "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\nbroken\n";
        assert_eq!(name_of(1000, users).as_deref(), Some("alice"));
        assert_eq!(name_of(7, users), None);
    }
}
