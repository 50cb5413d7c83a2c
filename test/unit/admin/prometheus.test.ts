import { expect, test } from 'vitest';
import { renderPrometheus } from '../../../src/admin/prometheus.ts';
import { RequestMetrics } from '../../../src/observability/request-metrics.ts';
import { statusExample } from './status-example.ts';

const usage = { residentBytes: 1, cpuSeconds: 2, eventLoopDelays: { p50Ms: 0.5, p99Ms: 3, maximumMs: 250 } };

test('a histogram is cumulative and ends with every request', () => {
  const requests = new RequestMetrics();
  for (const durationMs of [0.5, 3, 3, 100_000]) {
    requests.observe({ operation: 'PutObject', status: 200, durationMs, bytesIn: 10, bytesOut: 0 });
  }
  requests.observe({ operation: 'PutObject', status: 503, durationMs: 1, bytesIn: 0, bytesOut: 0 });
  const text = renderPrometheus({ status: undefined, isReady: true, requests, usage });
  expect(text).toContain('holdfast_requests_total{operation="PutObject",status="2xx"} 4\n');
  expect(text).toContain('holdfast_requests_total{operation="PutObject",status="5xx"} 1\n');
  expect(text).toContain('holdfast_request_duration_seconds_bucket{operation="PutObject",le="0.001"} 2\n');
  expect(text).toContain('holdfast_request_duration_seconds_bucket{operation="PutObject",le="0.005"} 4\n');
  expect(text).toContain('holdfast_request_duration_seconds_bucket{operation="PutObject",le="+Inf"} 5\n');
  expect(text).toContain('holdfast_request_duration_seconds_count{operation="PutObject"} 5\n');
  expect(text).toContain('holdfast_request_bytes_total{operation="PutObject"} 40\n');
});

test('every line is a comment or a sample of a family announced before it', () => {
  const requests = new RequestMetrics();
  requests.observe({ operation: 'GetObject', status: 200, durationMs: 1, bytesIn: 0, bytesOut: 5 });
  const text = renderPrometheus({ status: statusExample(), isReady: true, requests, usage });
  const announced = new Set<string>();
  for (const line of text.trimEnd().split('\n')) {
    const family = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line)?.[1];
    if (family !== undefined) announced.add(family);
    if (line.startsWith('#')) continue;
    const sample = /^([a-z_]+)(?:\{[^{}]*\})? -?\d+(?:\.\d+)?$/.exec(line)?.[1];
    expect(sample, line).toBeDefined();
    expect(announced.has(sample?.replace(/_(bucket|sum|count)$/, '') ?? '') || announced.has(sample ?? ''), line).toBe(
      true,
    );
  }
});

test('the lifecycle tells its lag and what it did', () => {
  const text = renderPrometheus({ status: statusExample(), isReady: true, requests: new RequestMetrics(), usage });
  expect(text).toContain('holdfast_lifecycle_lag_seconds 1.5\n');
  expect(text).toContain('holdfast_lifecycle_actions_total{outcome="expired"} 3\n');
  expect(text).toContain('holdfast_lifecycle_actions_total{outcome="locked"} 4\n');
  expect(text).toContain('holdfast_lifecycle_looked_at_total 9\n');
});

test('label values are escaped', () => {
  const base = statusExample();
  const disks = base.disks.map((disk) => ({ ...disk, id: 'a"b\\c\nd' }));
  const text = renderPrometheus({ status: { ...base, disks }, isReady: false, requests: new RequestMetrics(), usage });
  expect(text).toContain('id="a\\"b\\\\c\\nd"');
});

test('the delay of the event loop is told in seconds', () => {
  const text = renderPrometheus({ status: undefined, isReady: true, requests: new RequestMetrics(), usage });
  expect(text).toContain('holdfast_event_loop_delay_seconds{quantile="0.99"} 0.003\n');
  expect(text).toContain('holdfast_event_loop_delay_seconds{quantile="1"} 0.25\n');
});
