// A mount namespace with nothing in it but an empty, read-only tmpfs.
//
// A new mount namespace is a copy of its maker's: on a host with thousands of mounts they all are
// copied and then let go again, at every start. A container whose mounts are all made from
// descriptors needs none of them: its namespace is a copy of the empty one, and its root file
// system is mounted over the empty root. As with pivot_root(2) nothing of the host is left in it.
#pragma once

#include "base/fd.h"

namespace caisson::linux {

// Whether this mount namespace has so many mounts that the detour pays.
bool has_many_mounts();

// The empty namespace, to be entered with setns(2). It is made when it is first needed and stays,
// bound to a file below /run, until the host goes down or somebody unmounts that. Invalid where it
// can't be had: then a namespace is made in the usual way.
Fd empty_mount_namespace();

}  // namespace caisson::linux
