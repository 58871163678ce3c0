#!/bin/sh
set -eu
mv "$BUILDROOT/usr/lib/systemd/system/nvpcr" "$BUILDROOT/usr/lib/nvpcr"
