//! The classes and functions of scikit-learn, sorted by module.
//!
//! Collected from `sklearn.utils.all_estimators()` and from the pickles of fitted models, for scikit-learn 1.3, 1.5
//! and 1.9.

use crate::formats::pickle::rules::grants::{CALL, Entry, Fill, NAMED, PLAIN, Rule, ruled};

pub(crate) const GRANTS: &[Entry] = &[
    (
        "_loss",
        NAMED,
        "CyAbsoluteError CyExponentialLoss CyHalfBinomialLoss CyHalfGammaLoss \
         CyHalfMultinomialLoss CyHalfPoissonLoss CyHalfSquaredError CyHalfTweedieLoss \
         CyHalfTweedieLossIdentity CyHuberLoss CyPinballLoss",
    ),
    (
        "_loss",
        ruled(Rule::ClassFirst).with_state(),
        "__pyx_unpickle_CyAbsoluteError __pyx_unpickle_CyExponentialLoss \
         __pyx_unpickle_CyHalfBinomialLoss __pyx_unpickle_CyHalfGammaLoss \
         __pyx_unpickle_CyHalfMultinomialLoss __pyx_unpickle_CyHalfPoissonLoss \
         __pyx_unpickle_CyHalfSquaredError __pyx_unpickle_CyHalfTweedieLoss \
         __pyx_unpickle_CyHalfTweedieLossIdentity __pyx_unpickle_CyHuberLoss \
         __pyx_unpickle_CyPinballLoss",
    ),
    (
        "sklearn._loss._loss",
        CALL,
        "CyAbsoluteError CyExponentialLoss CyHalfBinomialLoss CyHalfGammaLoss \
         CyHalfPoissonLoss CyHalfSquaredError CyHalfTweedieLoss CyHalfTweedieLossIdentity \
         CyHuberLoss CyPinballLoss",
    ),
    ("sklearn._loss._loss", NAMED, "CyHalfMultinomialLoss"),
    (
        "sklearn._loss._loss",
        ruled(Rule::ClassFirst).with_state(),
        "__pyx_unpickle_CyAbsoluteError __pyx_unpickle_CyHalfBinomialLoss \
         __pyx_unpickle_CyHalfGammaLoss __pyx_unpickle_CyHalfMultinomialLoss \
         __pyx_unpickle_CyHalfPoissonLoss __pyx_unpickle_CyHalfSquaredError \
         __pyx_unpickle_CyHalfTweedieLoss __pyx_unpickle_CyHalfTweedieLossIdentity \
         __pyx_unpickle_CyPinballLoss",
    ),
    ("sklearn._loss.glm_distribution", CALL, "DistributionBoundary"),
    (
        "sklearn._loss.glm_distribution",
        PLAIN,
        "GammaDistribution InverseGaussianDistribution NormalDistribution PoissonDistribution TweedieDistribution",
    ),
    (
        "sklearn._loss.link",
        PLAIN,
        "HalfLogitLink IdentityLink Interval LogLink LogitLink MultinomialLogit",
    ),
    (
        "sklearn._loss.loss",
        PLAIN,
        "AbsoluteError ArrayAPILossMixin ExponentialLoss HalfBinomialLoss \
         HalfBinomialLossArrayAPI HalfGammaLoss HalfMultinomialLoss \
         HalfMultinomialLossArrayAPI HalfPoissonLoss HalfPoissonLossArrayAPI HalfSquaredError \
         HalfTweedieLoss HalfTweedieLossIdentity HuberLoss PinballLoss",
    ),
    (
        "sklearn.calibration",
        PLAIN,
        "CalibratedClassifierCV _CalibratedClassifier _SigmoidCalibration _TemperatureScaling",
    ),
    ("sklearn.cluster._affinity_propagation", PLAIN, "AffinityPropagation"),
    ("sklearn.cluster._agglomerative", PLAIN, "AgglomerativeClustering FeatureAgglomeration"),
    ("sklearn.cluster._bicluster", PLAIN, "SpectralBiclustering SpectralCoclustering"),
    ("sklearn.cluster._birch", PLAIN, "Birch _CFNode _CFSubcluster"),
    ("sklearn.cluster._bisect_k_means", PLAIN, "BisectingKMeans _BisectingTree"),
    ("sklearn.cluster._dbscan", PLAIN, "DBSCAN"),
    ("sklearn.cluster._hdbscan.hdbscan", PLAIN, "HDBSCAN"),
    ("sklearn.cluster._kmeans", NAMED, "_kmeans_single_lloyd"),
    ("sklearn.cluster._kmeans", PLAIN, "KMeans MiniBatchKMeans"),
    ("sklearn.cluster._mean_shift", PLAIN, "MeanShift"),
    ("sklearn.cluster._optics", PLAIN, "OPTICS"),
    ("sklearn.cluster._spectral", PLAIN, "SpectralClustering"),
    (
        "sklearn.compose._column_transformer",
        PLAIN,
        "ColumnTransformer _RemainderColsList make_column_selector",
    ),
    ("sklearn.compose._target", PLAIN, "TransformedTargetRegressor"),
    ("sklearn.covariance._elliptic_envelope", PLAIN, "EllipticEnvelope"),
    ("sklearn.covariance._empirical_covariance", PLAIN, "EmpiricalCovariance"),
    ("sklearn.covariance._graph_lasso", PLAIN, "GraphicalLasso GraphicalLassoCV"),
    ("sklearn.covariance._graph_lasso", PLAIN.filled(Fill::Mapping), "_DictWithDeprecatedKeys"),
    ("sklearn.covariance._robust_covariance", PLAIN, "MinCovDet"),
    ("sklearn.covariance._shrunk_covariance", PLAIN, "LedoitWolf OAS ShrunkCovariance"),
    ("sklearn.cross_decomposition._pls", PLAIN, "CCA PLSCanonical PLSRegression PLSSVD"),
    (
        "sklearn.decomposition._dict_learning",
        PLAIN,
        "DictionaryLearning MiniBatchDictionaryLearning SparseCoder",
    ),
    ("sklearn.decomposition._factor_analysis", PLAIN, "FactorAnalysis"),
    ("sklearn.decomposition._fastica", PLAIN, "FastICA"),
    ("sklearn.decomposition._incremental_pca", PLAIN, "IncrementalPCA"),
    ("sklearn.decomposition._kernel_pca", PLAIN, "KernelPCA"),
    ("sklearn.decomposition._lda", PLAIN, "LatentDirichletAllocation"),
    ("sklearn.decomposition._nmf", PLAIN, "MiniBatchNMF NMF"),
    ("sklearn.decomposition._pca", PLAIN, "PCA"),
    ("sklearn.decomposition._sparse_pca", PLAIN, "MiniBatchSparsePCA SparsePCA"),
    ("sklearn.decomposition._truncated_svd", PLAIN, "TruncatedSVD"),
    (
        "sklearn.discriminant_analysis",
        PLAIN,
        "LinearDiscriminantAnalysis QuadraticDiscriminantAnalysis",
    ),
    ("sklearn.dummy", PLAIN, "DummyClassifier DummyRegressor"),
    ("sklearn.ensemble._bagging", PLAIN, "BaggingClassifier BaggingRegressor"),
    (
        "sklearn.ensemble._forest",
        PLAIN,
        "ExtraTreesClassifier ExtraTreesRegressor RandomForestClassifier \
         RandomForestRegressor RandomTreesEmbedding",
    ),
    ("sklearn.ensemble._gb", PLAIN, "GradientBoostingClassifier GradientBoostingRegressor"),
    (
        "sklearn.ensemble._gb_losses",
        PLAIN,
        "BinomialDeviance ExponentialLoss HuberLossFunction LeastAbsoluteError \
         LeastSquaresError MultinomialDeviance QuantileLossFunction",
    ),
    ("sklearn.ensemble._hist_gradient_boosting.binning", PLAIN, "_BinMapper"),
    (
        "sklearn.ensemble._hist_gradient_boosting.gradient_boosting",
        PLAIN,
        "HistGradientBoostingClassifier HistGradientBoostingRegressor",
    ),
    (
        "sklearn.ensemble._hist_gradient_boosting.loss",
        PLAIN,
        "BinaryCrossEntropy CategoricalCrossEntropy LeastAbsoluteDeviation LeastSquares Poisson",
    ),
    ("sklearn.ensemble._hist_gradient_boosting.predictor", PLAIN, "TreePredictor"),
    ("sklearn.ensemble._iforest", PLAIN, "IsolationForest"),
    ("sklearn.ensemble._stacking", PLAIN, "StackingClassifier StackingRegressor"),
    ("sklearn.ensemble._voting", PLAIN, "VotingClassifier VotingRegressor"),
    ("sklearn.ensemble._weight_boosting", PLAIN, "AdaBoostClassifier AdaBoostRegressor"),
    ("sklearn.feature_extraction._dict_vectorizer", PLAIN, "DictVectorizer"),
    ("sklearn.feature_extraction._hash", PLAIN, "FeatureHasher"),
    ("sklearn.feature_extraction.image", PLAIN, "PatchExtractor"),
    (
        "sklearn.feature_extraction.text",
        PLAIN,
        "CountVectorizer HashingVectorizer TfidfTransformer TfidfVectorizer",
    ),
    ("sklearn.feature_selection._from_model", PLAIN, "SelectFromModel"),
    ("sklearn.feature_selection._mutual_info", NAMED, "mutual_info_classif mutual_info_regression"),
    ("sklearn.feature_selection._rfe", PLAIN, "RFE RFECV"),
    ("sklearn.feature_selection._sequential", PLAIN, "SequentialFeatureSelector"),
    (
        "sklearn.feature_selection._univariate_selection",
        NAMED,
        "chi2 f_classif f_oneway f_regression r_regression",
    ),
    (
        "sklearn.feature_selection._univariate_selection",
        PLAIN,
        "GenericUnivariateSelect SelectFdr SelectFpr SelectFwe SelectKBest SelectPercentile",
    ),
    ("sklearn.feature_selection._variance_threshold", PLAIN, "VarianceThreshold"),
    ("sklearn.frozen._frozen", PLAIN, "FrozenEstimator"),
    (
        "sklearn.gaussian_process._gpc",
        PLAIN,
        "GaussianProcessClassifier _BinaryGaussianProcessClassifierLaplace",
    ),
    ("sklearn.gaussian_process._gpr", PLAIN, "GaussianProcessRegressor"),
    (
        "sklearn.gaussian_process.kernels",
        PLAIN,
        "CompoundKernel ConstantKernel DotProduct ExpSineSquared Exponentiation \
         GenericKernelMixin Matern NormalizedKernelMixin PairwiseKernel Product RBF \
         RationalQuadratic StationaryKernelMixin Sum WhiteKernel",
    ),
    ("sklearn.impute._base", PLAIN, "MissingIndicator SimpleImputer"),
    ("sklearn.impute._iterative", CALL, "_ImputerTriplet"),
    ("sklearn.impute._iterative", PLAIN, "IterativeImputer"),
    ("sklearn.impute._knn", PLAIN, "KNNImputer"),
    ("sklearn.isotonic", PLAIN, "IsotonicRegression"),
    (
        "sklearn.kernel_approximation",
        PLAIN,
        "AdditiveChi2Sampler Nystroem PolynomialCountSketch RBFSampler SkewedChi2Sampler",
    ),
    ("sklearn.kernel_ridge", PLAIN, "KernelRidge"),
    ("sklearn.linear_model._base", PLAIN, "LinearRegression"),
    ("sklearn.linear_model._bayes", PLAIN, "ARDRegression BayesianRidge"),
    (
        "sklearn.linear_model._coordinate_descent",
        PLAIN,
        "ElasticNet ElasticNetCV Lasso LassoCV MultiTaskElasticNet MultiTaskElasticNetCV \
         MultiTaskLasso MultiTaskLassoCV",
    ),
    ("sklearn.linear_model._glm.glm", PLAIN, "GammaRegressor PoissonRegressor TweedieRegressor"),
    ("sklearn.linear_model._glm.link", PLAIN, "IdentityLink LogLink LogitLink"),
    ("sklearn.linear_model._huber", PLAIN, "HuberRegressor"),
    ("sklearn.linear_model._least_angle", PLAIN, "Lars LarsCV LassoLars LassoLarsCV LassoLarsIC"),
    ("sklearn.linear_model._logistic", PLAIN, "LogisticRegression LogisticRegressionCV"),
    ("sklearn.linear_model._omp", PLAIN, "OrthogonalMatchingPursuit OrthogonalMatchingPursuitCV"),
    (
        "sklearn.linear_model._passive_aggressive",
        PLAIN,
        "PassiveAggressiveClassifier PassiveAggressiveRegressor",
    ),
    ("sklearn.linear_model._perceptron", PLAIN, "Perceptron"),
    ("sklearn.linear_model._quantile", PLAIN, "QuantileRegressor"),
    ("sklearn.linear_model._ransac", PLAIN, "RANSACRegressor"),
    ("sklearn.linear_model._ridge", PLAIN, "Ridge RidgeCV RidgeClassifier RidgeClassifierCV"),
    ("sklearn.linear_model._sgd_fast", CALL, "Hinge Log ModifiedHuber SquaredHinge"),
    (
        "sklearn.linear_model._stochastic_gradient",
        PLAIN,
        "SGDClassifier SGDOneClassSVM SGDRegressor",
    ),
    ("sklearn.linear_model._theil_sen", PLAIN, "TheilSenRegressor"),
    ("sklearn.manifold._classical_mds", PLAIN, "ClassicalMDS"),
    ("sklearn.manifold._isomap", PLAIN, "Isomap"),
    ("sklearn.manifold._locally_linear", PLAIN, "LocallyLinearEmbedding"),
    ("sklearn.manifold._mds", PLAIN, "MDS"),
    ("sklearn.manifold._spectral_embedding", PLAIN, "SpectralEmbedding"),
    ("sklearn.manifold._t_sne", PLAIN, "TSNE"),
    (
        "sklearn.metrics._classification",
        NAMED,
        "accuracy_score balanced_accuracy_score brier_score_loss class_likelihood_ratios \
         classification_report cohen_kappa_score confusion_matrix d2_brier_score \
         d2_log_loss_score f1_score fbeta_score hamming_loss hinge_loss jaccard_score \
         log_loss matthews_corrcoef multilabel_confusion_matrix \
         precision_recall_fscore_support precision_score recall_score zero_one_loss",
    ),
    (
        "sklearn.metrics._dist_metrics",
        NAMED,
        "BrayCurtisDistance CanberraDistance ChebyshevDistance DiceDistance EuclideanDistance \
         HammingDistance HaversineDistance JaccardDistance KulsinskiDistance \
         MahalanobisDistance ManhattanDistance MatchingDistance MinkowskiDistance \
         RogersTanimotoDistance RussellRaoDistance SEuclideanDistance SokalMichenerDistance \
         SokalSneathDistance WMinkowskiDistance BrayCurtisDistance32 BrayCurtisDistance64 CanberraDistance32 CanberraDistance64 \
         ChebyshevDistance32 ChebyshevDistance64 DiceDistance32 DiceDistance64 \
         EuclideanDistance32 EuclideanDistance64 HammingDistance32 HammingDistance64 \
         HaversineDistance32 HaversineDistance64 JaccardDistance32 JaccardDistance64 \
         KulsinskiDistance32 KulsinskiDistance64 MahalanobisDistance32 MahalanobisDistance64 \
         ManhattanDistance32 ManhattanDistance64 MatchingDistance32 MatchingDistance64 \
         MinkowskiDistance32 MinkowskiDistance64 RogersTanimotoDistance32 \
         RogersTanimotoDistance64 RussellRaoDistance32 RussellRaoDistance64 \
         SEuclideanDistance32 SEuclideanDistance64 SokalMichenerDistance32 \
         SokalMichenerDistance64 SokalSneathDistance32 SokalSneathDistance64 \
         WMinkowskiDistance32 WMinkowskiDistance64",
    ),
    ("sklearn.metrics._dist_metrics", ruled(Rule::ClassFirst).with_state(), "newObj"),
    (
        "sklearn.metrics._ranking",
        NAMED,
        "auc average_precision_score confusion_matrix_at_thresholds coverage_error dcg_score \
         det_curve label_ranking_average_precision_score label_ranking_loss \
         metric_at_thresholds ndcg_score precision_recall_curve roc_auc_score roc_curve \
         top_k_accuracy_score",
    ),
    (
        "sklearn.metrics._regression",
        NAMED,
        "d2_absolute_error_score d2_pinball_score d2_tweedie_score explained_variance_score \
         max_error mean_absolute_error mean_absolute_percentage_error mean_gamma_deviance \
         mean_pinball_loss mean_poisson_deviance mean_squared_error mean_squared_log_error \
         mean_tweedie_deviance median_absolute_error r2_score root_mean_squared_error \
         root_mean_squared_log_error",
    ),
    (
        "sklearn.metrics._scorer",
        PLAIN,
        "_CurveScorer _PassthroughScorer _PredictScorer _ProbaScorer _Scorer _ThresholdScorer",
    ),
    ("sklearn.metrics._scorer", NAMED, "_passthrough_scorer"),
    ("sklearn.metrics.cluster._bicluster", NAMED, "consensus_score"),
    (
        "sklearn.metrics.cluster._supervised",
        NAMED,
        "adjusted_mutual_info_score adjusted_rand_score completeness_score \
         fowlkes_mallows_score homogeneity_completeness_v_measure homogeneity_score \
         mutual_info_score normalized_mutual_info_score pair_confusion_matrix rand_score \
         v_measure_score",
    ),
    (
        "sklearn.metrics.cluster._unsupervised",
        NAMED,
        "calinski_harabasz_score davies_bouldin_score silhouette_samples silhouette_score",
    ),
    (
        "sklearn.metrics.pairwise",
        NAMED,
        "additive_chi2_kernel check_paired_arrays check_pairwise_arrays chi2_kernel \
         cosine_distances cosine_similarity distance_metrics euclidean_distances \
         haversine_distances kernel_metrics laplacian_kernel linear_kernel \
         manhattan_distances nan_euclidean_distances paired_cosine_distances paired_distances \
         paired_euclidean_distances paired_manhattan_distances pairwise_distances \
         pairwise_distances_argmin pairwise_distances_argmin_min pairwise_distances_chunked \
         pairwise_kernels polynomial_kernel rbf_kernel sigmoid_kernel",
    ),
    ("sklearn.mixture._bayesian_mixture", PLAIN, "BayesianGaussianMixture"),
    ("sklearn.mixture._gaussian_mixture", PLAIN, "GaussianMixture"),
    (
        "sklearn.model_selection._classification_threshold",
        PLAIN,
        "FixedThresholdClassifier TunedThresholdClassifierCV _CurveScorer",
    ),
    (
        "sklearn.model_selection._search",
        PLAIN,
        "GridSearchCV ParameterGrid ParameterSampler RandomizedSearchCV",
    ),
    (
        "sklearn.model_selection._search_successive_halving",
        PLAIN,
        "HalvingGridSearchCV HalvingRandomSearchCV",
    ),
    (
        "sklearn.model_selection._split",
        PLAIN,
        "GroupKFold GroupShuffleSplit KFold LeaveOneGroupOut LeaveOneOut LeavePGroupsOut \
         LeavePOut PredefinedSplit RepeatedKFold RepeatedStratifiedKFold ShuffleSplit \
         StratifiedGroupKFold StratifiedKFold StratifiedShuffleSplit TimeSeriesSplit _CVIterableWrapper",
    ),
    (
        "sklearn.multiclass",
        PLAIN,
        "OneVsOneClassifier OneVsRestClassifier OutputCodeClassifier _ConstantPredictor",
    ),
    (
        "sklearn.multioutput",
        PLAIN,
        "ClassifierChain MultiOutputClassifier MultiOutputRegressor RegressorChain",
    ),
    (
        "sklearn.naive_bayes",
        PLAIN,
        "BernoulliNB CategoricalNB ComplementNB GaussianNB MultinomialNB",
    ),
    ("sklearn.neighbors._ball_tree", NAMED, "BallTree BallTree32 BallTree64"),
    ("sklearn.neighbors._ball_tree", ruled(Rule::ClassFirst).with_state(), "newObj"),
    ("sklearn.neighbors._classification", PLAIN, "KNeighborsClassifier RadiusNeighborsClassifier"),
    ("sklearn.neighbors._graph", PLAIN, "KNeighborsTransformer RadiusNeighborsTransformer"),
    ("sklearn.neighbors._kd_tree", NAMED, "KDTree KDTree32 KDTree64"),
    ("sklearn.neighbors._kd_tree", ruled(Rule::ClassFirst).with_state(), "newObj"),
    ("sklearn.neighbors._kde", PLAIN, "KernelDensity"),
    ("sklearn.neighbors._lof", PLAIN, "LocalOutlierFactor"),
    ("sklearn.neighbors._nca", PLAIN, "NeighborhoodComponentsAnalysis"),
    ("sklearn.neighbors._nearest_centroid", PLAIN, "NearestCentroid"),
    ("sklearn.neighbors._regression", PLAIN, "KNeighborsRegressor RadiusNeighborsRegressor"),
    ("sklearn.neighbors._unsupervised", PLAIN, "NearestNeighbors"),
    ("sklearn.neural_network._multilayer_perceptron", PLAIN, "MLPClassifier MLPRegressor"),
    ("sklearn.neural_network._rbm", PLAIN, "BernoulliRBM"),
    ("sklearn.neural_network._stochastic_optimizers", PLAIN, "AdamOptimizer SGDOptimizer"),
    ("sklearn.pipeline", PLAIN, "FeatureUnion Pipeline"),
    (
        "sklearn.preprocessing._data",
        PLAIN,
        "Binarizer KernelCenterer MaxAbsScaler MinMaxScaler Normalizer PowerTransformer \
         QuantileTransformer RobustScaler StandardScaler",
    ),
    ("sklearn.preprocessing._discretization", PLAIN, "KBinsDiscretizer"),
    ("sklearn.preprocessing._encoders", PLAIN, "OneHotEncoder OrdinalEncoder"),
    ("sklearn.preprocessing._function_transformer", PLAIN, "FunctionTransformer"),
    ("sklearn.preprocessing._label", PLAIN, "LabelBinarizer LabelEncoder MultiLabelBinarizer"),
    ("sklearn.preprocessing._polynomial", PLAIN, "PolynomialFeatures SplineTransformer"),
    ("sklearn.preprocessing._target_encoder", PLAIN, "TargetEncoder"),
    ("sklearn.random_projection", PLAIN, "GaussianRandomProjection SparseRandomProjection"),
    ("sklearn.semi_supervised._label_propagation", PLAIN, "LabelPropagation LabelSpreading"),
    ("sklearn.semi_supervised._self_training", PLAIN, "SelfTrainingClassifier"),
    ("sklearn.svm._classes", PLAIN, "LinearSVC LinearSVR NuSVC NuSVR OneClassSVM SVC SVR"),
    (
        "sklearn.tree._classes",
        PLAIN,
        "DecisionTreeClassifier DecisionTreeRegressor ExtraTreeClassifier ExtraTreeRegressor",
    ),
    ("sklearn.tree._tree", CALL.with_state(), "Tree"),
    ("sklearn.utils", PLAIN.filled(Fill::Mapping), "Bunch"),
    ("sklearn.utils._bunch", PLAIN.filled(Fill::Mapping), "Bunch"),
    ("sklearn.utils._metadata_requests", PLAIN, "MetadataRequest MethodMetadataRequest"),
    ("sklearn.utils.validation", NAMED, "check_array"),
];
