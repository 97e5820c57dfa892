# What every hook of ours begins with. The installer puts this text into each of them, with the launcher filled
# in, so that an installed hook is one file that reads nothing from the repository.

# Another program's hook of this name runs first, with its own arguments, input and environment.
foreign=${0%/*}/$hook.regen-chained
foreign_status=0
input=

run_foreign() {
  if [ -x "$foreign" ]; then "$foreign" "$@" || foreign_status=$?; fi
}

# The same for hooks that read their input: both get all of it.
run_foreign_with_input() {
  if [ -x "$foreign" ]; then
    input=$(cat && echo .)
    printf %s "${input%.}" 2>/dev/null | "$foreign" "$@" || foreign_status=$?
  fi
}

# Not while we are at work ourselves, nor while the pre-commit framework puts files aside.
is_silenced() {
  [ -n "${REGEN_ACTIVE-}${_PRE_COMMIT_SKIP_POST_CHECKOUT-}" ]
}

find_state() {
  # Each would make `*.regen.json` mean something else.
  unset GIT_LITERAL_PATHSPECS GIT_GLOB_PATHSPECS GIT_NOGLOB_PATHSPECS GIT_ICASE_PATHSPECS
  git_dir=${GIT_DIR:-.git}
  [ -d "$git_dir" ] || git_dir=$(git rev-parse --git-dir 2>/dev/null) || exit "$foreign_status"
  state=$git_dir/regen
}

list_index() {
  git ls-files -s -t -z -- '*.regen.json' 2>/dev/null
}

# Whether the index has other sidecars than at the last sync. Its bytes are compared, not its age: two writes can
# bear one time stamp.
index_differs() {
  last=$state/listing
  [ -f "$last" ] || last=/dev/null
  ! list_index | cmp -s - "$last"
}

# Whether a sidecar in the worktree is another than in the index: `git restore` and `git stash` move them past it.
worktree_differs() {
  ! GIT_OPTIONAL_LOCKS=0 git -c filter.regen.process= -c core.fsmonitor=false \
    diff-files --quiet -- '*.regen.json' 2>/dev/null
}

# Whether git has written a sidecar since the last sync that is just what the index says: `git restore` of a deleted one.
worktree_is_newer() {
  find . -name .git -prune -o -name '*.regen.json' -newer "$state/listing" -print 2>/dev/null | grep -q .
}

# After a command that may have changed the worktree. git names a temporary index in some of them.
has_work() {
  unset GIT_INDEX_FILE
  find_state
  # post-index-change has looked at this very index just now: its note was begun after the index was written.
  if [ -f "$state/listing" ] && [ "$state/listing-seen" -nt "$git_dir/index" ]; then return 1; fi
  index_differs
}

# regen-vcs on PATH, for when the Python it was installed with is gone. Never one the repository brings along.
find_tool() (
  set -f
  top=$(pwd -P)
  IFS=:
  for folder in $PATH; do
    case $folder in /*) ;; *) continue ;; esac
    [ -f "$folder/regen-vcs" ] && [ -x "$folder/regen-vcs" ] || continue
    real=$(cd -P -- "$folder" && pwd -P) || continue
    case $real/ in "$top"/*) continue ;; esac
    printf '%s\n' "$real/regen-vcs"
    exit 0
  done
  exit 1
)

launch() {
  if [ -x @PROGRAM@ ] && [ -e @NEEDS@ ]; then
    @LAUNCHER@ hook "$hook" "$@"
  elif tool=$(find_tool); then
    "$tool" hook "$hook" "$@"
  else
    echo "regen-vcs: not found on this machine: $without_us; install it, then run: regen-vcs init" >&2
  fi
}

# For the one command that goes on after its last hook: `git stash pop` brings untracked files back at its very end.
launch_after_git() {
  if [ -x @PROGRAM@ ] && [ -e @NEEDS@ ]; then
    (@LAUNCHER@ hook after-exit "$PPID" </dev/null >/dev/null 2>&1 &)
  fi
}

launch_with_input() {
  if [ -n "$input" ]; then
    printf %s "${input%.}" | launch "$@"
  else
    launch "$@"
  fi
}
