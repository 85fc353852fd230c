// @generated automatically by Diesel CLI.

diesel::table! {
    collected (model_id) {
        model_id -> Text,
        collected_at -> Timestamptz,
        bytes_freed -> Int8,
    }
}

diesel::table! {
    load_checks (model_id) {
        model_id -> Text,
        verdict -> Text,
        format -> Text,
        depth -> Text,
        errors -> Jsonb,
        checker -> Text,
        checked_at -> Timestamptz,
    }
}

diesel::table! {
    log_entries (sequence) {
        sequence -> Int8,
        id -> Text,
        time -> Timestamptz,
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
        detail -> Nullable<Jsonb>,
        state_sha256 -> Nullable<Text>,
        leaf_sha256 -> Text,
    }
}

diesel::table! {
    log_subtrees (level, number) {
        level -> Int4,
        number -> Int8,
        sha256 -> Text,
    }
}

diesel::table! {
    registry_state (id) {
        id -> Int4,
        checksum -> Text,
        previous_checksum -> Text,
        log_size -> Int8,
        right_edge -> Text,
        artifact_count -> Int8,
        total_size_bytes -> Int8,
        revision -> Int8,
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
        artifact_size_bytes -> Int8,
        total_size_bytes -> Int8,
        checksum_sha256 -> Text,
        metadata_sha256 -> Text,
        config_hash -> Text,
        snapshot_id -> Text,
        dataset_version_ids -> Jsonb,
        created_at -> Timestamptz,
        promoted_at -> Nullable<Timestamptz>,
        archived_at -> Nullable<Timestamptz>,
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
