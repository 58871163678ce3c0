#!/bin/sh
# enter-tree.sh TREE STAGE [KEEP…] -- PROGRAM [ARGUMENT…]
#
# Runs PROGRAM with the /usr of TREE in place of the host's, in a mount namespace of its own, with the same process id
# and all inherited descriptors. Everything outside /usr stays as it is, but for what belongs to /usr: /etc/ld.so.cache,
# /etc/alternatives, and those files of TREE/etc that the host has not (configuration of the tools).
#
# KEEP: paths below the host's /usr that must stay visible. STAGE: an empty directory to mount on, and below it `usr`,
# which holds an empty mount point for each KEEP.
set -eu

if [ "${1-}" != --inside ]; then
  # A user namespace only where it is needed: one inside another would lose the rights over the outer one's network.
  while read -r name value; do
    [ "$name" = CapEff: ] && break
  done </proc/self/status
  if [ $((0x$value >> 21 & 1)) -eq 1 ]; then
    exec unshare --mount -- sh "$0" --inside "$@"
  fi
  exec unshare --user --map-root-user --mount -- sh "$0" --inside "$@"
fi
shift
tree=$1
stage=$2
shift 2

# Overlays where the kernel has them; without, the tools lack their own configuration, but run.
if mount -t overlay -o "ro,lowerdir=/etc:$tree/etc" overlay "$stage/etc" 2>/dev/null; then
  # An overlay does not see what is mounted below its layers, as containers do with these.
  for name in resolv.conf hosts hostname; do
    if [ -f "/etc/$name" ] && [ ! -L "/etc/$name" ]; then mount --bind "/etc/$name" "$stage/etc/$name"; fi
  done
  etc=$stage/etc
else
  etc=/etc
fi
for name in ld.so.cache alternatives; do
  if [ -e "$tree/etc/$name" ] && [ -e "$etc/$name" ]; then mount --bind "$tree/etc/$name" "$etc/$name"; fi
done
[ "$etc" = /etc ] || mount --rbind "$etc" /etc

usr=$tree/usr
if [ "$1" != -- ]; then
  mount -t overlay -o "ro,lowerdir=$stage/keep:$tree/usr" overlay "$stage/usr"
  usr=$stage/usr
  while [ "$1" != -- ]; do
    mount --rbind "$1" "$stage$1"
    shift
  done
fi
shift
mount --rbind "$usr" /usr

# The tree's programs with the tree's libraries, whatever the caller has put in front of his own.
unset LD_LIBRARY_PATH LD_PRELOAD PYTHONPATH PYTHONHOME
PATH=/usr/sbin:/usr/bin
LC_ALL=C.UTF-8
export PATH LC_ALL
exec "$@"
