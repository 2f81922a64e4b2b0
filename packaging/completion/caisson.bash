# bash completion for caisson; printed by "caisson completion bash".

_caisson_table() {
  verbs= options= valued= names= program=
  case $1 in
    caisson:)
      verbs="run exec ps list top stats logs inspect diff stop kill pause resume update mount unmount wait checkpoint restore rm sandbox explain why doctor version help completion"
      options="--root --log --log-format --debug --timeline --version --help"
      valued="--root|--log|--log-format"
      ;;
    caisson:run)
      options="--detach -d --rm --keep --label -l --log-limit --pidfile --quiet -q --json --name --tty -t --interactive -i --env -e --env-file --volume -v --tmpfs --workdir -w --user -u --hostname --read-only --rootfs --network --memory -m --memory-swap --cpus --pids --cap-add --cap-drop --new-privileges --seccomp --annotation --wall --platform --sandbox --overlay --strace --strace-calls --help"
      valued="--label|-l|--log-limit|--pidfile|--name|--env|-e|--env-file|--volume|-v|--tmpfs|--workdir|-w|--user|-u|--hostname|--rootfs|--network|--memory|-m|--memory-swap|--cpus|--pids|--cap-add|--cap-drop|--seccomp|--annotation|--wall|--platform|--sandbox|--overlay|--strace|--strace-calls"
      program=yes
      ;;
    caisson:exec)
      options="--tty -t --interactive -i --env -e --env-file --workdir -w --user -u --cap-add --detach -d --json --ignore-paused --help"
      valued="--env|-e|--env-file|--workdir|-w|--user|-u|--cap-add"
      names=yes
      program=yes
      ;;
    caisson:ps)
      options="--all -a --quiet -q --json --help"
      ;;
    caisson:list)
      options="--quiet -q --json --help"
      ;;
    caisson:top)
      options="--json --help"
      names=yes
      ;;
    caisson:stats)
      options="--follow -f --interval --json --help"
      valued="--interval"
      names=yes
      ;;
    caisson:logs)
      options="--follow -f --tail -n --timestamps -t --stream --json --help"
      valued="--tail|-n|--stream"
      names=yes
      ;;
    caisson:inspect)
      options="--json --help"
      names=yes
      ;;
    caisson:diff)
      options="--json --help"
      names=yes
      ;;
    caisson:stop)
      options="--time -t --signal -s --json --help"
      valued="--time|-t|--signal|-s"
      names=yes
      ;;
    caisson:kill)
      options="--signal -s --all -a --json --help"
      valued="--signal|-s"
      names=yes
      ;;
    caisson:pause)
      options="--json --help"
      names=yes
      ;;
    caisson:resume)
      options="--json --help"
      names=yes
      ;;
    caisson:update)
      options="--memory -m --memory-swap --memory-reservation --cpus --cpu-shares --cpu-idle --cpuset --cpuset-mems --pids --io-weight --resources -r --json --help"
      valued="--memory|-m|--memory-swap|--memory-reservation|--cpus|--cpu-shares|--cpu-idle|--cpuset|--cpuset-mems|--pids|--io-weight|--resources|-r"
      names=yes
      ;;
    caisson:mount)
      options="--tmpfs --json --help"
      valued="--tmpfs"
      names=yes
      ;;
    caisson:unmount)
      options="--json --help"
      names=yes
      ;;
    caisson:wait)
      options="--timeout -t --json --help"
      valued="--timeout|-t"
      names=yes
      ;;
    caisson:checkpoint)
      options="--leave-running --parent-path --pre-dump --link-remap --criu --image-path --work-path --tcp-established --ext-unix-sk --shell-job --file-locks --manage-cgroups-mode --empty-ns --auto-dedup --lazy-pages --network-lock --help"
      valued="--parent-path|--criu|--image-path|--work-path|--manage-cgroups-mode|--empty-ns|--network-lock"
      names=yes
      ;;
    caisson:restore)
      options="--detach -d --keep --tcp-close --criu --image-path --work-path --tcp-established --ext-unix-sk --shell-job --file-locks --manage-cgroups-mode --empty-ns --auto-dedup --lazy-pages --network-lock --help"
      valued="--criu|--image-path|--work-path|--manage-cgroups-mode|--empty-ns|--network-lock"
      names=yes
      ;;
    caisson:rm)
      options="--force -f --all -a --json --help"
      names=yes
      ;;
    caisson:sandbox)
      options="--markdown --help"
      names=yes
      ;;
    caisson:explain)
      options="--bundle -b --json --name --tty -t --interactive -i --env -e --env-file --volume -v --tmpfs --workdir -w --user -u --hostname --read-only --rootfs --network --memory -m --memory-swap --cpus --pids --cap-add --cap-drop --new-privileges --seccomp --annotation --wall --platform --sandbox --overlay --strace --strace-calls --help"
      valued="--bundle|-b|--name|--env|-e|--env-file|--volume|-v|--tmpfs|--workdir|-w|--user|-u|--hostname|--rootfs|--network|--memory|-m|--memory-swap|--cpus|--pids|--cap-add|--cap-drop|--seccomp|--annotation|--wall|--platform|--sandbox|--overlay|--strace|--strace-calls"
      program=yes
      ;;
    caisson:why)
      options="--json --help"
      names=yes
      ;;
    caisson:doctor)
      options="--json --help"
      ;;
    caisson:version)
      options="--json --help"
      ;;
    caisson:help)
      options="--help"
      ;;
    caisson:completion)
      options="--help"
      ;;
    caisson-oci:)
      verbs="create start run state kill delete exec list ps pause resume update mounts checkpoint restore events features spec version help"
      options="--root -r --log -l --log-format --log-level --debug --timeline --wall --systemd-cgroup -s --cgroup-manager --rootless --criu --version -v --help"
      valued="--root|-r|--log|-l|--log-format|--log-level|--wall|--cgroup-manager|--rootless|--criu"
      ;;
    caisson-oci:create)
      options="--bundle -b --config -f --console-socket --pidfd-socket --pid-file --no-pivot --no-new-keyring --preserve-fds --no-subreaper --help"
      valued="--bundle|-b|--config|-f|--console-socket|--pidfd-socket|--pid-file|--preserve-fds"
      names=yes
      ;;
    caisson-oci:start)
      options="--help"
      names=yes
      ;;
    caisson-oci:run)
      options="--bundle -b --config -f --console-socket --pidfd-socket --pid-file --no-pivot --no-new-keyring --preserve-fds --detach -d --keep --no-subreaper --help"
      valued="--bundle|-b|--config|-f|--console-socket|--pidfd-socket|--pid-file|--preserve-fds"
      names=yes
      ;;
    caisson-oci:state)
      options="--help"
      names=yes
      ;;
    caisson-oci:kill)
      options="--all -a --regex -r --help"
      names=yes
      ;;
    caisson-oci:delete)
      options="--force -f --regex -r --help"
      names=yes
      ;;
    caisson-oci:exec)
      options="--process -p --cwd --env -e --tty -t --user -u --additional-gids -g --detach -d --pid-file --console-socket --pidfd-socket --process-label --apparmor --no-new-privs --cap -c --preserve-fds --cgroup --ignore-paused --help"
      valued="--process|-p|--cwd|--env|-e|--user|-u|--additional-gids|-g|--pid-file|--console-socket|--pidfd-socket|--process-label|--apparmor|--cap|-c|--preserve-fds|--cgroup"
      names=yes
      program=yes
      ;;
    caisson-oci:list)
      options="--format -f --quiet -q --help"
      valued="--format|-f"
      ;;
    caisson-oci:ps)
      options="--format -f --help"
      valued="--format|-f"
      names=yes
      ;;
    caisson-oci:pause)
      options="--help"
      names=yes
      ;;
    caisson-oci:resume)
      options="--help"
      names=yes
      ;;
    caisson-oci:update)
      options="--resources -r --memory --memory-reservation --memory-swap --cpu-quota --cpu-period --cpu-burst --cpu-share --cpu-idle --cpu-rt-period --cpu-rt-runtime --cpuset-cpus --cpuset-mems --pids-limit --blkio-weight --l3-cache-schema --mem-bw-schema --help"
      valued="--resources|-r|--memory|--memory-reservation|--memory-swap|--cpu-quota|--cpu-period|--cpu-burst|--cpu-share|--cpu-idle|--cpu-rt-period|--cpu-rt-runtime|--cpuset-cpus|--cpuset-mems|--pids-limit|--blkio-weight|--l3-cache-schema|--mem-bw-schema"
      names=yes
      ;;
    caisson-oci:mounts)
      options="--help"
      names=yes
      ;;
    caisson-oci:checkpoint)
      options="--parent-path --pre-dump --leave-running --tcp-skip-in-flight --link-remap --page-server --status-fd --image-path --work-path --tcp-established --ext-unix-sk --shell-job --file-locks --manage-cgroups-mode --empty-ns --auto-dedup --lazy-pages --network-lock --help"
      valued="--parent-path|--page-server|--status-fd|--image-path|--work-path|--manage-cgroups-mode|--empty-ns|--network-lock"
      names=yes
      ;;
    caisson-oci:restore)
      options="--bundle -b --config -f --console-socket --detach -d --keep --pid-file --no-pivot --no-subreaper --tcp-close --lsm-profile --lsm-mount-context --image-path --work-path --tcp-established --ext-unix-sk --shell-job --file-locks --manage-cgroups-mode --empty-ns --auto-dedup --lazy-pages --network-lock --help"
      valued="--bundle|-b|--config|-f|--console-socket|--pid-file|--lsm-profile|--lsm-mount-context|--image-path|--work-path|--manage-cgroups-mode|--empty-ns|--network-lock"
      names=yes
      ;;
    caisson-oci:events)
      options="--interval --stats --help"
      valued="--interval"
      names=yes
      ;;
    caisson-oci:features)
      options="--help"
      ;;
    caisson-oci:spec)
      options="--bundle -b --config -f --rootless --help"
      valued="--bundle|-b|--config|-f"
      ;;
    caisson-oci:version)
      options="--help"
      ;;
    caisson-oci:help)
      options="--help"
      ;;
  esac
}

_caisson() {
  local cur=${COMP_WORDS[COMP_CWORD]} face=caisson verb= operands=0 i word
  local verbs options valued names program root=()
  case ${COMP_WORDS[0]##*/} in
    caisson-oci | runc | crun) face=caisson-oci ;;
  esac
  COMPREPLY=()
  _caisson_table "$face:"
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    case $word in
      --)
        [[ $program ]] && { _caisson_program $((i + 1)); return; } ;;
      -*)
        [[ $word == --root ]] && root=(--root "${COMP_WORDS[i + 1]}")
        [[ $valued && "|$valued|" == *"|$word|"* ]] && ((i++)) ;;
      =) ((i++)) ;;
      *)
        if [[ -z $verb && $face == caisson && $word == oci ]]; then
          face=caisson-oci
          _caisson_table "$face:"
        elif [[ -z $verb ]]; then
          verb=$word
          _caisson_table "$face:$verb"
        else
          ((operands++))
          [[ $program && ( -z $names || $operands -gt 1 ) ]] && { _caisson_program $i; return; }
        fi ;;
    esac
  done
  ((i > COMP_CWORD)) && { COMPREPLY=($(compgen -f -- "$cur")); return; }
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$cur"))
  elif [[ -z $verb ]]; then
    COMPREPLY=($(compgen -W "$verbs" -- "$cur"))
  elif [[ $names && ( $operands -eq 0 || -z $program ) ]]; then
    COMPREPLY=($(compgen -W "$(_caisson_names "$face")" -- "$cur"))
  elif [[ $program ]]; then
    COMPREPLY=($(compgen -c -- "$cur"))
  elif [[ $verb == help ]]; then
    _caisson_table "$face:"
    COMPREPLY=($(compgen -W "$verbs" -- "$cur"))
  fi
}

_caisson_names() {
  if [[ $1 == caisson ]]; then
    "${COMP_WORDS[0]}" "${root[@]}" ps --all --quiet 2>/dev/null
  else
    "${COMP_WORDS[0]}" "${root[@]}" list --quiet 2>/dev/null
  fi
}

# Completes the program to run, whose words begin at $1, as the shell completes it elsewhere.
_caisson_program() {
  if (($1 >= COMP_CWORD)); then
    COMPREPLY=($(compgen -c -- "${COMP_WORDS[COMP_CWORD]}"))
  elif declare -F _command_offset >/dev/null; then
    _command_offset "$1"
  else
    COMPREPLY=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}"))
  fi
}

complete -o default -F _caisson caisson caisson-oci
