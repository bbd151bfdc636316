/** Moca: the asynchronous backbone of a TypeScript application. */

export type { App, AppInput, ConfigInput, Hooks, QueueInput, WorkerInput } from './config/options.ts'
export { defineApp, defineConfig, type MocaConfig } from './config/config.ts'
export { defineDoctype, type Doctype, type DoctypeOptions } from './doctype/doctype.ts'
export type { IndexCallFacts, IndexedDocument, IndexHook } from './doctype/index-hook.ts'
export type {
  EmbeddedDoctype,
  FieldValue,
  Project,
  ProjectionContext,
  Row,
  SearchFields,
  SearchOptions,
} from './doctype/search-options.ts'
export {
  AccessError,
  ClosedError,
  ConfigError,
  ConnectionError,
  EmitError,
  EnqueueError,
  type ErrorCode,
  HandlerTimeoutError,
  HookError,
  LayoutError,
  LeaseLostError,
  MocaError,
  OptionError,
  PayloadError,
  QueueFullError,
  SchemaError,
  SqlError,
  UnsuitableServerError,
} from './errors.ts'
export type { Envelope, EventInput } from './events/event.ts'
export type { Gap, Listening } from './events/event-backend.ts'
export type { HistoryFilter } from './events/event-history.ts'
export type { Backlog, Events, HeardEvent, ListenOptions } from './events/events.ts'
export type { ReplayOptions, ReplayResult } from './events/replayer.ts'
export type { RegisteredSubscription, Registration } from './events/subscription-registry.ts'
export {
  defineSubscription,
  type EventContext,
  handleEvent,
  type Subscription,
  type SubscriptionOptions,
} from './events/subscription.ts'
export type { PublishCallFacts, PublishHook } from './events/publish-hook.ts'
export { cancel, fail, retry, snooze } from './job/control-flow.ts'
export type { Duration } from './job/duration.ts'
export type { EnqueueOptions } from './job/enqueue-options.ts'
export {
  defineJob,
  handle,
  type HandlerContext,
  type Job,
  type JobHandler,
  type JobInfo,
  type JobOptions,
} from './job/job.ts'
export type { AttemptHook, EnqueueCallFacts, EnqueueHook, EnqueueItem } from './job/job-hooks.ts'
export type { RetryOptions } from './job/retry-policy.ts'
export type { ScheduledRun } from './job/scheduled.ts'
export type { Logger } from './logger.ts'
export { createMoca, type Moca, type MocaOptions } from './moca.ts'
export type { Outbox, RecordedJob, RecordOptions } from './outbox/outbox.ts'
export type { SqlExecutor } from './outbox/sql-executor.ts'
export type { BulkResult, PurgeFilter, RetryFilter } from './queue/inspector/bulk-move.ts'
export type { LossReport, QueueCounts, WorkerView } from './queue/inspector/inspector.ts'
export type { JobPage, ListFilter } from './queue/inspector/job-list.ts'
export type { JobOverrides } from './queue/job-overrides.ts'
export type { JobQueue } from './queue/job-queue.ts'
export type { JobStatus, JobView } from './queue/inspector/job-view.ts'
export type { Loss } from './queue/loss-detector.ts'
export type { EnqueueResult } from './queue/producer/producer.ts'
export type { JobEvent, Worker, WorkerEvents, WorkerHealth } from './queue/worker/worker.ts'
export { defineSchedule, type Schedule, type ScheduleOptions } from './scheduler/schedule.ts'
export type { Run } from './scheduler/schedule-store.ts'
export type { Schedules, ScheduleView } from './scheduler/schedules.ts'
export type {
  FacetCount,
  RangeFilter,
  SearchFilter,
  SearchHit,
  SearchResult,
  TextPiece,
} from './search/search-engine.ts'
export type { Search, SearchQuery } from './search/search.ts'
export { createWorker, type WorkerOptions } from './worker.ts'
