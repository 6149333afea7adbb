/**
 * Metrics of the socket of librbd. All are 0 where librbd is not served.
 */
import { counter, gauge, type Metric } from './metric.ts'

export const librbdMetrics: readonly Metric[] = [
  gauge('parentfs_librbd_connections', 'Connections of librbd clients.', m => m.librbd.connections),
  gauge('parentfs_librbd_parents', 'Parents of clones that are answered by path.', m => m.librbd.parentsKnown),
  {
    kind: 'counter',
    name: 'parentfs_librbd_answers_total',
    help: 'Answers to librbd by kind: resident and partial by path, absent as such, all others "read it yourself".',
    labels: ['kind'],
    read: ({ librbd }) => Object.entries(librbd.answers).map(([kind, value]) => ({ labels: { kind }, value })),
  },
  counter(
    'parentfs_librbd_broken_connections_total',
    'Connections of librbd clients closed because their bytes were no frames.',
    m => m.librbd.broken,
  ),
]
