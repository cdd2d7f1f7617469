// Pages and charts of runs and profiles: an entry of its own, since a page that trains may draw nothing.
export { dataFacts } from './report/data-facts.js';
export { renderLossChart } from './report/loss-chart.js';
export { profileTable, type ProfileTable } from './report/profile-table.js';
export { evaluationTable, renderEvaluation } from './report/render-evaluation.js';
export { renderData } from './report/render-data.js';
export { renderProfile } from './report/render-profile.js';
export { rateSearchFacts, renderRateSearch } from './report/render-rate-search.js';
export { readRun, type RecordedRun } from './report/read-run.js';
export { compareRuns, renderComparison, type RunComparison } from './report/render-comparison.js';
export { renderReport, type ReportData } from './report/render-report.js';
export { followPointer } from './report/follow-pointer.js';
