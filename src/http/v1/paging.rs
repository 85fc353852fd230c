//! The `Link` header of a paged list (RFC 8288).

use crate::{
    catalog::{Order, VersionFilter},
    limits::MAX_PAGE,
};

/// The links to the first, previous, next and last page of the versions that match a filter, `total` in all; `None`
/// without a limit, where all are one page. Each link is a query alone, which a client resolves against the URL it
/// requested, so that links work behind any gateway.
#[must_use]
pub fn links(filter: &VersionFilter, total: u64) -> Option<String> {
    let (size, start) = (u64::from(filter.limit?.clamp(1, MAX_PAGE)), u64::from(filter.offset));
    let status = filter.status.map(|status| format!("status_filter={status}&"));
    let order = match filter.order {
        Order::Newest => "",
        Order::Oldest => "order=oldest&",
    };
    let kept = format!("{}{order}", status.unwrap_or_default());
    let link = |relation: &str, offset: u64| {
        format!("<?{kept}limit={size}&offset={offset}>; rel=\"{relation}\"")
    };
    // Pages are counted from the requested offset, so that none overlap and no version is left out.
    let last = match total.saturating_sub(1).checked_sub(start) {
        Some(ahead) => start + ahead / size * size,
        None => total.saturating_sub(1) / size * size,
    };
    let mut links = vec![link("first", 0)];
    if start > 0 {
        links.push(link("prev", start.saturating_sub(size).min(last)));
    }
    if start + size < total && start + size <= u64::from(u32::MAX) {
        links.push(link("next", start + size));
    }
    links.push(link("last", last));
    Some(links.join(", "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Status;

    fn page(limit: u32, offset: u32) -> VersionFilter {
        VersionFilter { limit: Some(limit), offset, ..VersionFilter::default() }
    }

    #[test]
    fn each_page_names_its_neighbours_and_keeps_the_filter() {
        let of = |offset| {
            let status = Some(Status::Staged);
            let filter = VersionFilter { status, order: Order::Oldest, ..page(2, offset) };
            links(&filter, 5).unwrap()
        };
        assert_eq!(
            of(2),
            "<?status_filter=staged&order=oldest&limit=2&offset=0>; rel=\"first\", \
             <?status_filter=staged&order=oldest&limit=2&offset=0>; rel=\"prev\", \
             <?status_filter=staged&order=oldest&limit=2&offset=4>; rel=\"next\", \
             <?status_filter=staged&order=oldest&limit=2&offset=4>; rel=\"last\""
        );
        assert!(!of(0).contains("prev"));
        assert!(!of(4).contains("next"));
        assert!(links(&page(2, 99), 5).unwrap().contains("<?limit=2&offset=4>; rel=\"prev\""));
        assert_eq!(
            links(&page(2, 0), 0).unwrap(),
            "<?limit=2&offset=0>; rel=\"first\", <?limit=2&offset=0>; rel=\"last\""
        );
        assert_eq!(links(&VersionFilter::default(), 5), None);
    }

    proptest! {
        #[test]
        fn following_next_reaches_everything_once_and_ends_at_last(
            limit in 1_u32..20, offset in 0_u32..60, total in 0_u64..50,
        ) {
            let of = |offset: u32, relation: &str| -> Option<u32> {
                let links = links(&page(limit, offset), total)?;
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
