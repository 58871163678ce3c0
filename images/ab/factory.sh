#!/bin/sh
set -eu
cd "$BUILDROOT"

# A virtual machine has virtio-rng or RDRAND; a seed on the boot partition would be written at each boot, with a slow EFI variable.
rm -f usr/lib/systemd/system/*.wants/systemd-boot-random-seed.service usr/lib/systemd/system/*.wants/systemd-random-seed.service

# What the root file system begins with: systemd-repart makes it on the disk where this /usr starts for the first time.
rm -rf usr/share/factory
mkdir usr/share/factory
cp -a etc var root usr/share/factory/
