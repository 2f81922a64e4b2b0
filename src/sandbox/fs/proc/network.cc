// /proc/PID/net: what the network's floor tells, and for the rest the tables of a network that has
// a loopback interface and nothing else, with the headings that programs expect.
#include "sandbox/fs/proc/proc.h"

namespace caisson::sandbox::fs {
namespace {

struct Table {
  std::string_view name, text;
};
constexpr Table kTables[] = {
    {"dev",
     "Inter-|   Receive                                                |  Transmit\n"
     " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs "
     "drop fifo colls carrier compressed\n"
     "    lo:       0       0    0    0    0     0          0         0        0       0    0    "
     "0    0     0       0          0\n"},
    {"tcp",
     "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
     "inode                                                     \n"},
    {"tcp6",
     "  sl  local_address                         remote_address                        st "
     "tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"},
    {"udp",
     "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
     "inode ref pointer drops             \n"},
    {"udp6",
     "  sl  local_address                         remote_address                        st "
     "tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"},
    {"raw",
     "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
     "inode ref pointer drops\n"},
    {"unix", "Num       RefCount Protocol Flags    Type St Inode Path\n"},
    {"netlink",
     "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n"},
    {"packet", "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n"},
    {"route",
     "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT"
     "                                                       \n"},
    {"ipv6_route", ""},
    {"if_inet6", "00000000000000000000000000000001 01 80 10 80       lo\n"},
    {"arp", "IP address       HW type     Flags       HW address            Mask     Device\n"},
    {"sockstat",
     "sockets: used 0\nTCP: inuse 0 orphan 0 tw 0 alloc 0 mem 0\nUDP: inuse 0 mem 0\n"
     "UDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n"},
    {"sockstat6",
     "TCP6: inuse 0\nUDP6: inuse 0\nUDPLITE6: inuse 0\nRAW6: inuse 0\n"
     "FRAG6: inuse 0 memory 0\n"},
    {"protocols",
     "protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs "
     "se re sp bi br ha uh gp em\n"},
    {"ptype", "Type Device      Function\n"},
    {"wireless",
     "Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE\n"
     " face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22\n"},
    {"dev_mcast", ""},
    {"igmp", "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"},
    {"psched", "000003e8 00000040 000f4240 3b9aca00\n"},
};

}  // namespace

void add_network_files(ProcFilesystem& proc, const Ref<kernel::Task>& task,
                       StaticDirectory& directory) {
  for (const Table& table : kTables)
    directory.add(table.name, [task, tell = proc.network_text(), &table](vfs::Caller&) {
      std::optional<std::string> text;
      if (tell != nullptr) text = tell(*task, table.name);
      return ErrnoOr<std::string>(text ? std::move(*text) : std::string(table.text));
    });
}

}  // namespace caisson::sandbox::fs
