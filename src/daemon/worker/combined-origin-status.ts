/**
 * Combined status of all origins of a mount.
 */
import type { Status } from '../../admin/status.ts'

/** Counters added up, and the state of the one that is worst off. */
export function together(url: string, origins: readonly Status['origin'][]): Status['origin'] {
  const worst = [...origins].sort((a, b) => rank[b.state] - rank[a.state])[0]!
  const sum = (of: (origin: Status['origin']) => number) => origins.reduce((total, origin) => total + of(origin), 0)
  return {
    url,
    requests: sum(({ requests }) => requests),
    bytes: sum(({ bytes }) => bytes),
    errors: sum(({ errors }) => errors),
    cancelled: sum(({ cancelled }) => cancelled),
    unsupported: origins.find(({ unsupported }) => unsupported !== '')?.unsupported ?? '',
    state: worst.state,
    reason: worst.reason,
    sinceSeconds: worst.sinceSeconds,
    waiting: sum(({ waiting }) => waiting),
    outages: sum(({ outages }) => outages),
    delayed: sum(({ delayed: held }) => held),
    refused: sum(({ refused }) => refused),
    hedges: {
      sent: sum(({ hedges }) => hedges.sent),
      won: sum(({ hedges }) => hedges.won),
      overBudget: sum(({ hedges }) => hedges.overBudget),
    },
  }
}

const rank = { available: 0, suspect: 1, away: 2 } as const
