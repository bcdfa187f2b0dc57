//! The contract of a store as stories; every engine must tell all of them with the same end.
//!
//! ```text
//! keyholt_store::contract!(sqlite, make_store());   // make_store() -> impl Future<Output = (impl Store, guard)>
//! ```

pub mod commits;
pub mod conflicts;
pub mod crowd;
pub mod dumps;
pub mod events;
pub mod history;
pub mod keys;
pub mod records;
pub mod search;
pub mod sessions;
pub mod time;
pub mod tokens;
pub mod usage;
pub mod world;

/// Tells every story on a store of its own. The second argument is an expression, evaluated for each story, that becomes
/// a store together with what must live as long as it does.
#[macro_export]
macro_rules! contract {
    ($name:ident, $make:expr) => {
        $crate::contract!(@stories $name, $make,
            commits::what_is_committed_can_be_read,
            commits::writes_come_together_or_not_at_all,
            commits::a_commit_that_fails_half_way_leaves_nothing,
            commits::the_feed_tells_what_each_commit_touched,
            commits::a_store_is_bound_to_one_master_key,
            commits::a_row_is_sealed_anew_with_its_revision,
            commits::everything_is_loaded_in_order,
            conflicts::what_was_changed_meanwhile_is_stale,
            conflicts::a_record_of_another_project_is_out_of_reach,
            conflicts::a_handle_is_taken_once_in_a_project,
            conflicts::a_secret_stands_in_one_place,
            conflicts::a_user_has_one_static_key,
            conflicts::an_owner_has_as_many_keys_as_the_guard_allows,
            conflicts::what_a_key_makes_is_there_before_its_end_or_never,
            conflicts::a_repeated_request_is_recognised_before_all_else,
            crowd::numbers_have_no_gaps_however_many_commit_at_once,
            crowd::one_conflict_in_a_crowd_fails_alone,
            crowd::of_many_set_ups_at_once_one_wins,
            records::records_are_listed_by_page_and_beginning,
            keys::every_key_is_on_one_page,
            keys::pages_stay_where_they_are_while_keys_come,
            keys::each_filter_finds_what_it_names,
            search::text_is_searched_by_words,
            search::the_beginning_of_a_word_stands_for_the_first_words,
            search::labels_follow_the_key,
            keys::those_that_end_first_come_first,
            keys::those_unused_longest_come_first,
            keys::many_keys_are_filtered_as_in_memory,
            sessions::a_session_is_found_as_one_and_never_as_a_key,
            sessions::a_refresh_takes_the_place_of_the_token_before,
            sessions::passwords_are_kept_and_not_loaded,
            tokens::of_two_signing_keys_made_at_once_one_is_kept,
            tokens::a_recalled_token_is_kept_until_it_is_dead,
            events::each_filter_finds_its_events,
            events::a_span_of_time_is_found_although_clocks_differ,
            events::the_trail_is_read_page_by_page,
            usage::uses_add_up,
            usage::the_last_use_is_the_latest_granted_one,
            usage::usage_of_a_key_that_is_gone_is_dropped,
            usage::what_is_old_is_forgotten,
            time::the_latest_instant_is_kept,
            dumps::a_dump_fills_another_store,
            dumps::a_store_is_filled_only_when_it_is_empty,
            dumps::a_part_of_a_dump_is_not_a_store,
            history::random_histories_end_as_in_memory,
        );
    };
    (@stories $name:ident, $make:expr, $($file:ident::$story:ident,)*) => {
        mod $name {
            use super::*;

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $story() {
                    let (store, guard) = $make.await;
                    $crate::contract::$file::$story(&store).await;
                    $crate::Store::close(&store).await;
                    drop((store, guard));
                }
            )*
        }
    };
}
