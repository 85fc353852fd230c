// @generated automatically by Diesel CLI.

diesel::table! {
    collected (model_id) {
        model_id -> Text,
        collected_at -> Text,
        bytes_freed -> BigInt,
    }
}

diesel::table! {
    load_checks (model_id) {
        model_id -> Text,
        verdict -> Text,
        format -> Text,
        depth -> Text,
        errors -> Text,
        checker -> Text,
        checked_at -> Text,
    }
}

diesel::table! {
    log_entries (sequence) {
        sequence -> BigInt,
        id -> Text,
        time -> Text,
        actor -> Text,
        authenticated_as -> Nullable<Text>,
        action -> Text,
        model_id -> Nullable<Text>,
        model_type -> Nullable<Text>,
        version -> Nullable<Text>,
        from_status -> Nullable<Text>,
        to_status -> Nullable<Text>,
        reason -> Nullable<Text>,
        gates_skipped -> Bool,
        detail -> Nullable<Text>,
        state_sha256 -> Nullable<Text>,
        leaf_sha256 -> Text,
    }
}

diesel::table! {
    log_subtrees (level, number) {
        level -> Integer,
        number -> BigInt,
        sha256 -> Text,
    }
}

diesel::table! {
    registry_state (id) {
        id -> Integer,
        checksum -> Text,
        previous_checksum -> Text,
        log_size -> BigInt,
        right_edge -> Text,
        artifact_count -> BigInt,
        total_size_bytes -> BigInt,
        revision -> BigInt,
    }
}

diesel::table! {
    used_versions (model_type, version) {
        model_type -> Text,
        version -> Text,
        model_id -> Text,
    }
}

diesel::table! {
    versions (model_id) {
        model_id -> Text,
        model_type -> Text,
        version -> Text,
        status -> Text,
        artifact_file -> Text,
        artifact_size_bytes -> BigInt,
        total_size_bytes -> BigInt,
        checksum_sha256 -> Text,
        metadata_sha256 -> Text,
        config_hash -> Text,
        snapshot_id -> Text,
        dataset_version_ids -> Text,
        created_at -> Text,
        promoted_at -> Nullable<Text>,
        archived_at -> Nullable<Text>,
    }
}

diesel::joinable!(collected -> versions (model_id));
diesel::joinable!(load_checks -> versions (model_id));

diesel::allow_tables_to_appear_in_same_query!(
    collected,
    load_checks,
    log_entries,
    log_subtrees,
    registry_state,
    used_versions,
    versions,
);
