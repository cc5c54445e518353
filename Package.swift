// swift-tools-version: 6.2
import PackageDescription

let swiftSettings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableUpcomingFeature("ExistentialAny"),
]

func target(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

let package = Package(
  name: "warmgate",
  products: [
    .library(name: "WarmPool", targets: ["WarmPool"]),
    .executable(name: "warmgate", targets: ["warmgate"]),
  ],
  targets: [
    .systemLibrary(name: "CLibpq", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
    .systemLibrary(name: "CMicrohttpd", pkgConfig: "libmicrohttpd", providers: [.apt(["libmicrohttpd-dev"])]),
    .systemLibrary(name: "CLibyaml", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
    .systemLibrary(name: "CNghttp2", pkgConfig: "libnghttp2", providers: [.apt(["libnghttp2-dev"])]),
    .target(name: "CLinux"),

    target("PoolCore"),
    target("EventLoop", ["PoolCore", "CLinux"]),
    target("Postgres", ["PoolCore", "EventLoop", "CLibpq", "CLinux"]),
    target("WarmPool", ["PoolCore", "EventLoop", "Postgres"]),
    // The page's parts become part of the executable: there is nothing to install beside it.
    .target(
      name: "Health", dependencies: ["PoolCore", "CMicrohttpd", "CNghttp2", "CLinux"],
      resources: [
        .embedInCode("StatusPage/page.html"), .embedInCode("StatusPage/page.css"),
        .embedInCode("StatusPage/page.js"),
      ],
      swiftSettings: swiftSettings),
    target("FleetSim", ["PoolCore"]),
    target("YAML", ["CLibyaml"]),
    .executableTarget(
      name: "warmgate",
      dependencies: [
        "PoolCore", "EventLoop", "Postgres", "WarmPool", "Health", "FleetSim", "YAML", "CLinux",
      ],
      swiftSettings: swiftSettings),

    // Run by scripts/bench; not a product.
    .executableTarget(
      name: "PoolBenchmark", dependencies: ["WarmPool"], path: "Benchmarks/PoolBenchmark",
      swiftSettings: swiftSettings),

    .executableTarget(
      name: "StrategyBenchmark", dependencies: ["EventLoop", "PoolCore", "Postgres", "WarmPool"],
      path: "Benchmarks/StrategyBenchmark", swiftSettings: swiftSettings),

    .executableTarget(
      name: "SlowLink", dependencies: ["FaultyNetwork"], path: "Benchmarks/SlowLink",
      swiftSettings: swiftSettings),

    .executableTarget(
      name: "GrowthBenchmark", dependencies: ["PoolCore"], path: "Benchmarks/GrowthBenchmark",
      swiftSettings: swiftSettings),

    .executableTarget(
      name: "FleetBenchmark", dependencies: ["FleetSim", "PoolCore"], path: "Benchmarks/FleetBenchmark",
      swiftSettings: swiftSettings),

    .target(name: "CSupport", path: "Tests/CSupport"),
    // Without Swift Testing, so that benchmarks can use it too.
    .target(name: "FaultyNetwork", path: "Tests/FaultyNetwork", swiftSettings: swiftSettings),
    .target(
      name: "Support", dependencies: ["CSupport", "FaultyNetwork"], path: "Tests/Support",
      swiftSettings: swiftSettings),
    tests("SupportTests", ["Support"]),
    tests("PoolCoreTests", ["PoolCore"]),
    tests("EventLoopTests", ["EventLoop", "Support"]),
    tests("PostgresTests", ["Postgres", "Support"]),
    .testTarget(
      name: "WarmPoolTests", dependencies: ["WarmPool", "Support"], exclude: ["Escaping"],
      swiftSettings: swiftSettings),
    tests("HealthTests", ["Health", "Support"]),
    tests("FleetSimTests", ["FleetSim"]),
    tests("YAMLTests", ["YAML"]),
    tests(
      "WarmgateTests", ["warmgate", "WarmPool", "Health", "FleetSim", "PoolCore", "YAML", "Support"]),
    tests("EndToEndTests", ["warmgate", "Support"]),
    tests("PageTests", ["warmgate", "Health", "PoolCore", "Support"]),
    tests("ChaosTests", ["WarmPool", "Support"]),
    tests("FleetTests", ["warmgate", "CLibpq", "Support"]),
    .testTarget(
      name: "DeployTests", dependencies: ["warmgate", "Support"], exclude: ["load.py"],
      swiftSettings: swiftSettings),
  ]
)
