/**
 * Reasons to leave out a check where all of them are wanted (CI=true): a closed list, each reason with its explanation
 * here.
 *
 * A reason that is not in it, or that this machine does not bear out, fails the run: else a test that never runs looks
 * like one that passes. A missing program of test/setup.sh is no reason where the script can install it.
 */
import { existsSync } from 'node:fs'
import { release } from 'node:os'
import type { Skip } from './check.ts'

/** Facts of a machine that may explain a skip. */
export interface Machine {
  readonly isRoot: boolean
  readonly hasFuse: boolean
  /** Of Linux: [6, 18]. */
  readonly kernel: readonly [number, number]
  /** Debian packages can be installed. */
  readonly canInstall: boolean
}

export interface Reason {
  /** As tests say it. */
  readonly said: RegExp
  readonly explained: (machine: Machine, env: NodeJS.ProcessEnv) => boolean
}

const overFuseNative: Reason['explained'] = (_, env) => env.TRANSPORT === 'fuse-native'
const kernelBefore =
  (major: number, minor: number): Reason['explained'] =>
  ({ kernel }) =>
    kernel[0] < major || (kernel[0] === major && kernel[1] < minor)

export const reasons: readonly Reason[] = [
  { said: /needs root and \/dev\/fuse$/, explained: ({ isRoot, hasFuse }) => !isRoot || !hasFuse },
  { said: /needs root$|^only root can /, explained: ({ isRoot }) => !isRoot },
  { said: /^this transport has no passthrough$/, explained: overFuseNative },
  { said: /^the table is of the kernel transport$/, explained: overFuseNative },
  { said: /^no native reads over fuse-native$/, explained: overFuseNative },
  { said: /^it is the same policy over fuse-native$/, explained: overFuseNative },
  { said: /^a name stays with the version that is open$/, explained: overFuseNative },
  { said: /^no holes without lseek$/, explained: overFuseNative },
  { said: /^not a capability$/, explained: () => true },
  // Asked for by hand, and in `make soak`: it takes minutes.
  { said: /^OBJECTS=\d+ starts with /, explained: (_, env) => env.OBJECTS === undefined },
  // Source: Linux include/uapi/linux/fuse.h, 7.40 (6.9).
  { said: /^this kernel does not resend/, explained: kernelBefore(6, 9) },
  { said: /^the kernel offers no passthrough$/, explained: kernelBefore(6, 9) },
  // Source: Linux include/uapi/linux/fs.h, RWF_DONTCACHE (6.14), which a file system has to offer besides.
  { said: /RWF_DONTCACHE/, explained: () => true },
  // Source: QEMU 7.2 linux-user/syscall.c, which has no preadv2.
  { said: /^no RWF_NOWAIT$/, explained: (_, env) => env.NATIVE_TARGET === 'test-arm64' },
  // Nor cachestat.
  {
    said: /^the kernel cannot tell what the page cache has/,
    explained: (machine, env) => env.NATIVE_TARGET === 'test-arm64' || kernelBefore(6, 5)(machine, env),
  },
  // Its libraries are those of the compiler alone.
  { said: /^libcrypto\.so\.3 is missing$/, explained: (_, env) => env.NATIVE_TARGET === 'test-arm64' },
  { said: /^(its library|libzstd) is not installed$/, explained: (_, env) => env.NATIVE_TARGET === 'test-arm64' },
  { said: /^this file system keeps its pages/, explained: () => true },
  // Node comes with its headers from nodejs.org, and without them from Debian.
  { said: /^no openssl\/ssl\.h in /, explained: () => true },
  // Debian's archive has it, or has it not: test/setup.sh goes on without.
  { said: /^no guest: .*\/vmlinuz is missing/, explained: () => true },
  // Debian's archive cannot be reached, and no root of an earlier run is there.
  { said: /^mmdebstrap cannot make /, explained: () => true },
  // The rights or the cgroups of this machine are those of a container themselves.
  // It takes minutes to make: `make test-guides` does.
  { said: /^no OCI image: /, explained: () => true },
  { said: /^podman cannot run one here/, explained: () => true },
  { said: /^the file system has less than \d/, explained: () => true },
  // A container may have no right to make network namespaces, or its kernel no bridges.
  { said: /^no network namespaces here: /, explained: () => true },
  { said: /^namespaces of a network need root$/, explained: ({ isRoot }) => !isRoot },
  // Node.js lies below a directory of root's own, as one of nvm's does.
  { said: /^other users may not run /, explained: () => true },
  // Not among the packages of test/setup.sh: it comes with a whole server.
  { said: /^promtool is not installed/, explained: () => true },
  { said: /^no registry can be reached/, explained: () => true },
  { said: / is not installed| is missing|needs nbdkit and nbdfuse$/, explained: ({ canInstall }) => !canInstall },
]

/** The machine that this runs on. */
export function thisMachine(): Machine {
  const [major = 0, minor = 0] = release().split('.').map(Number)
  const isRoot = process.getuid?.() === 0
  const canInstall = isRoot && ['/usr/bin/apt-get', '/bin/apt-get'].some(path => existsSync(path))
  return { isRoot, hasFuse: existsSync('/dev/fuse'), kernel: [major, minor], canInstall }
}

/** Those that nothing explains. */
export function unexplained(skips: readonly Skip[], machine: Machine): Skip[] {
  return skips.filter(
    ({ reason, env }) => !reasons.some(({ said, explained }) => said.test(reason) && explained(machine, env)),
  )
}
