//! The `Link` header of a paged list (RFC 8288).

use std::fmt::Write as _;

use crate::limits::MAX_PAGE;

/// The page that was requested.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// The most versions on the page.
    pub limit: u32,
    /// How many versions precede it.
    pub offset: u32,
    /// How many versions match on all pages.
    pub total: u64,
}

/// The links to the first, previous, next and last page. Each is a query alone, which a client resolves against the
/// URL it requested, so that links work behind any gateway. The other parameters of the query are kept.
#[must_use]
pub fn links(query: &str, page: Page) -> String {
    let Page { limit, offset, total } = page;
    let (size, start) = (u64::from(limit.clamp(1, MAX_PAGE)), u64::from(offset));
    let kept = kept(query);
    let mut links = String::new();
    let mut link = |relation: &str, offset: u64| {
        let separator = if links.is_empty() { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ =
            write!(links, "{separator}<?{kept}limit={size}&offset={offset}>; rel=\"{relation}\"");
    };
    // Pages are counted from the requested offset, so that none overlap and no version is left out.
    let last = match total.saturating_sub(1).checked_sub(start) {
        Some(ahead) => start + ahead / size * size,
        None => total.saturating_sub(1) / size * size,
    };
    link("first", 0);
    if start > 0 {
        link("prev", start.saturating_sub(size).min(last));
    }
    if start + size < total && start + size <= u64::from(u32::MAX) {
        link("next", start + size);
    }
    link("last", last);
    links
}

/// The query without `limit` and `offset`, ready for more parameters. Characters that would end the link are encoded.
fn kept(query: &str) -> String {
    let mut kept = String::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        if matches!(pair.split('=').next(), Some("limit" | "offset")) {
            continue;
        }
        for character in pair.chars() {
            match character {
                '<' => kept.push_str("%3C"),
                '>' => kept.push_str("%3E"),
                '"' => kept.push_str("%22"),
                '\\' => kept.push_str("%5C"),
                ' '..='~' => kept.push(character),
                _ => {}
            }
        }
        kept.push('&');
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_page_names_its_neighbours_and_keeps_the_rest_of_the_query() {
        let page = |offset| Page { limit: 2, offset, total: 5 };
        assert_eq!(
            links("order=oldest&limit=2&status_filter=staged", page(2)),
            "<?order=oldest&status_filter=staged&limit=2&offset=0>; rel=\"first\", \
             <?order=oldest&status_filter=staged&limit=2&offset=0>; rel=\"prev\", \
             <?order=oldest&status_filter=staged&limit=2&offset=4>; rel=\"next\", \
             <?order=oldest&status_filter=staged&limit=2&offset=4>; rel=\"last\""
        );
        assert!(!links("limit=2", page(0)).contains("prev"));
        assert!(!links("limit=2", page(4)).contains("next"));
        assert!(links("limit=2", page(99)).contains("<?limit=2&offset=4>; rel=\"prev\""));
        let empty = Page { limit: 2, offset: 0, total: 0 };
        assert_eq!(
            links("", empty),
            "<?limit=2&offset=0>; rel=\"first\", <?limit=2&offset=0>; rel=\"last\""
        );
        let hostile = links("x=>;%20rel=\"next\",<//evil>&limit=2", page(0));
        assert!(
            hostile.starts_with("<?x=%3E;%20rel=%22next%22,%3C//evil%3E&limit=2&"),
            "{hostile}"
        );
    }

    proptest! {
        #[test]
        fn following_next_reaches_everything_once_and_ends_at_last(
            limit in 1_u32..20, offset in 0_u32..60, total in 0_u64..50,
        ) {
            let of = |offset: u32, relation: &str| -> Option<u32> {
                let links = links("", Page { limit, offset, total });
                let link = links.split(", ").find(|link| link.ends_with(&format!("\"{relation}\"")))?;
                link.split(['=', '>']).nth(2)?.parse().ok()
            };
            let last = of(offset, "last");
            let (mut at, mut seen) = (offset, Vec::new());
            loop {
                seen.extend((u64::from(at)..u64::from(at + limit)).filter(|index| *index < total));
                match of(at, "next") {
                    Some(next) => at = next,
                    None => break,
                }
            }
            prop_assert_eq!(seen, (u64::from(offset)..total).collect::<Vec<_>>());
            if u64::from(offset) < total {
                prop_assert_eq!(last, Some(at));
            }
        }
    }
}
