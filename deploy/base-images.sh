#!/usr/bin/env bash
# Makes the base image that the Dockerfile builds in, for machines that can reach a Debian mirror but no registry of
# images: Debian 12 with a C compiler, and this machine's own Rust toolchain in the place that the official image uses.
#
#   sudo deploy/base-images.sh      # Debian; needs buildah and debootstrap (apt-get install buildah debootstrap)
#
# The image is named localhost/rust:1.95-bookworm and replaces docker.io/library/rust:1.95-bookworm. The final image
# starts empty, so it contains only what the compiler links in, and Debian's root certificates.
set -euo pipefail

image=localhost/rust:1.95-bookworm
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

[ "$(id -u)" = 0 ] || { echo "run this as root: debootstrap makes device nodes" >&2; exit 2; }
for program in buildah debootstrap rustc; do
  command -v "$program" >/dev/null || { echo "$program is missing" >&2; exit 2; }
done
if buildah inspect --type image "$image" >/dev/null 2>&1 && [ "${1:-}" != --again ]; then
  echo "$image is there already; --again makes it anew"
  exit 0
fi

cd "$(dirname "$0")/.."
toolchain=$(rustc --print sysroot)
release=$(rustc --version | cut -d' ' -f2)
host=$(rustc --version --verbose | sed -n 's/^host: //p')
case $release in
  1.95.*) ;;
  *) echo "the toolchain here is $release; the Dockerfile wants 1.95" >&2; exit 2 ;;
esac

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
debootstrap --variant=minbase --include=ca-certificates,gcc,libc6-dev,make,pkg-config bookworm "$folder/root" "$mirror" \
  >"$folder/log" 2>&1 || { tail -20 "$folder/log" >&2; exit 1; }
rm -rf "$folder"/root/var/cache/apt/archives/*.deb "$folder"/root/var/lib/apt/lists/*

# The official image's places; of the toolchain only the parts that compile for this machine.
place="usr/local/rustup/toolchains/$release-$host"
mkdir -p "$folder/root/$place/bin" "$folder/root/$place/lib/rustlib" "$folder/root/usr/local/cargo/bin"
cp -a "$toolchain"/bin/{cargo,rustc} "$folder/root/$place/bin/"
find "$toolchain/lib" -maxdepth 1 -type f -exec cp -a {} "$folder/root/$place/lib/" \;
cp -a "$toolchain/lib/rustlib/$host" "$folder/root/$place/lib/rustlib/"
for program in cargo rustc; do
  ln -s "/$place/bin/$program" "$folder/root/usr/local/cargo/bin/$program"
done

container=$(buildah from scratch)
trap 'buildah rm "$container" >/dev/null; rm -rf "$folder"' EXIT
buildah add --quiet "$container" "$folder/root" / >/dev/null
buildah config --env CARGO_HOME=/usr/local/cargo --env RUSTUP_HOME=/usr/local/rustup \
  --env PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --cmd bash "$container"
buildah commit --quiet --format docker "$container" "$image" >/dev/null
echo "$image: Debian $(cat "$folder/root/etc/debian_version"), Rust $release"
