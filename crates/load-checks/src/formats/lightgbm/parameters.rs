//! The parameters a model was trained with, as its tail keeps them.
//!
//! LightGBM's Python package turns them into JSON when it loads a model, and fails where a number
//! is none.

use super::super::json;

/// Parameters whose values are numbers, and are written into JSON as they stand.
const NUMBERS: &[&str] = &[
    "alpha",
    "bagging_by_query",
    "bagging_fraction",
    "bagging_freq",
    "bagging_seed",
    "bin_construct_sample_cnt",
    "boost_from_average",
    "cat_l2",
    "cat_smooth",
    "cegb_penalty_split",
    "cegb_tradeoff",
    "data_random_seed",
    "deterministic",
    "drop_rate",
    "drop_seed",
    "early_stopping_min_delta",
    "early_stopping_round",
    "enable_bundle",
    "extra_seed",
    "extra_trees",
    "fair_c",
    "feature_fraction",
    "feature_fraction_bynode",
    "feature_fraction_seed",
    "feature_pre_filter",
    "first_metric_only",
    "force_col_wise",
    "force_row_wise",
    "gpu_device_id",
    "gpu_platform_id",
    "gpu_use_dp",
    "header",
    "histogram_pool_size",
    "is_enable_sparse",
    "is_unbalance",
    "lambda_l1",
    "lambda_l2",
    "lambdarank_norm",
    "lambdarank_position_bias_regularization",
    "lambdarank_truncation_level",
    "learning_rate",
    "linear_lambda",
    "linear_tree",
    "local_listen_port",
    "max_bin",
    "max_cat_threshold",
    "max_cat_to_onehot",
    "max_delta_step",
    "max_depth",
    "max_drop",
    "min_data_in_bin",
    "min_data_in_leaf",
    "min_data_per_group",
    "min_gain_to_split",
    "min_sum_hessian_in_leaf",
    "monotone_penalty",
    "multi_error_top_k",
    "neg_bagging_fraction",
    "num_class",
    "num_gpu",
    "num_grad_quant_bins",
    "num_iterations",
    "num_leaves",
    "num_machines",
    "num_threads",
    "objective_seed",
    "other_rate",
    "path_smooth",
    "poisson_max_delta_step",
    "pos_bagging_fraction",
    "pre_partition",
    "precise_float_parser",
    "pred_early_stop_margin",
    "quant_train_renew_leaf",
    "refit_decay_rate",
    "reg_sqrt",
    "saved_feature_importance_type",
    "scale_pos_weight",
    "seed",
    "sigmoid",
    "skip_drop",
    "stochastic_rounding",
    "time_out",
    "top_k",
    "top_rate",
    "tweedie_variance_power",
    "two_round",
    "uniform_drop",
    "use_missing",
    "use_quantized_grad",
    "verbosity",
    "xgboost_dart_mode",
    "zero_as_missing",
];

/// Whether a line is `[name: value]` with a value that the loader can take. It reads past the end
/// of a line without the colon.
pub(super) fn is_parameter(line: &str) -> bool {
    let inner = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let Some((name, value)) = inner.and_then(|inner| inner.split_once(':')) else {
        return false;
    };
    let Some(value) = value.strip_prefix(' ') else {
        return false;
    };
    // What was no UTF-8 was replaced when the line was read. Python reads the values as JSON: it fails there, and at
    // control characters.
    if value.contains(|c: char| c == char::REPLACEMENT_CHARACTER || c < ' ') {
        return false;
    }
    let number = value.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && json::scan_slice(value.as_bytes()).is_ok();
    !name.is_empty() && (number || value.is_empty() || NUMBERS.binary_search(&name).is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_has_a_name_and_a_value_of_its_type() {
        assert!(NUMBERS.is_sorted());
        for good in ["[data: ]", "[cat_l2: 10]", "[metric: l2]", "[later: nan]", "[seed: -1]"] {
            assert!(is_parameter(good), "{good}");
        }
        for bad in [
            "[data:]",
            "cat_l2: 10",
            "[: 1]",
            "[cat_l2: nan]",
            "[cat_l2: 1]]",
            "[data",
            "[a:b: c]",
            "[data: \u{1d}]",
        ] {
            assert!(!is_parameter(bad), "{bad}");
        }
    }
}
