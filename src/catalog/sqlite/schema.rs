// @generated automatically by Diesel CLI.

diesel::table! {
    registry_state (id) {
        id -> Integer,
        checksum -> Text,
        previous_checksum -> Text,
    }
}

diesel::table! {
    transitions (sequence) {
        sequence -> BigInt,
        transition_id -> Text,
        model_id -> Text,
        model_type -> Text,
        version -> Text,
        from_status -> Nullable<Text>,
        to_status -> Text,
        changed_at -> Text,
        changed_by -> Text,
        reason -> Nullable<Text>,
        gates_skipped -> Bool,
        previous_sha256 -> Text,
        row_sha256 -> Text,
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

diesel::allow_tables_to_appear_in_same_query!(registry_state, transitions, used_versions, versions,);
