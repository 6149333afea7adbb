/**
 * A link of a known rate between this host and a namespace of its own, for servers that shall be that far away.
 */
import { execFileSync } from 'node:child_process'

export interface Link {
  readonly namespace: string
  /** Of the other end. */
  readonly address: string
  /** Rate of the other end. */
  limit(gigabitsPerSecond: number): void
  /** Remove it, and all that still sends through it. */
  close(): void
}

/**
 * Least burst with which tbf reaches its rate: the bytes between two looks at the clock, generously. Source: tc-tbf(8).
 */
const burstSeconds = 0.001

/** Needs root, and ip and tc of Debian's iproute2. @throws Error when one of them fails */
export function openLink(): Link {
  const namespace = `parentfs-${process.pid}`
  const [here, there] = [`pfs${process.pid}a`, `pfs${process.pid}b`]
  const [own, address] = ['10.213.77.1', '10.213.77.2'] // A network of two: no other host has these addresses.
  const run = (line: string) => execFileSync('ip', line.split(' '), { stdio: ['ignore', 'ignore', 'pipe'] })
  const close = () => run(`netns del ${namespace}`)
  run(`netns add ${namespace}`)
  try {
    run(`link add ${here} type veth peer name ${there} netns ${namespace}`)
    run(`addr add ${own}/30 dev ${here}`)
    run(`link set ${here} up`)
    run(`-n ${namespace} addr add ${address}/30 dev ${there}`)
    run(`-n ${namespace} link set ${there} up`)
    run(`-n ${namespace} link set lo up`)
  } catch (error) {
    close()
    throw error
  }
  const limit = (gigabitsPerSecond: number) => {
    const burst = Math.ceil((gigabitsPerSecond * 1e9 * burstSeconds) / 8)
    const shape = `root tbf rate ${gigabitsPerSecond}gbit burst ${burst} latency 20ms`
    run(`netns exec ${namespace} tc qdisc replace dev ${there} ${shape}`)
  }
  return { namespace, address, limit, close }
}
