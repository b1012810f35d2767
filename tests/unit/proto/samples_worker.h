/* SPDX-License-Identifier: MIT */
/* The samples of worker.proto. */
#pragma once

#include <berth/v1/envelope.pb-c.h>

extern Berth__V1__WorkerHello worker_hello;
extern Berth__V1__WorkerHello worker_hello_alone;
extern Berth__V1__WorkerHello worker_hello_with_parents;
extern Berth__V1__WorkerWelcome worker_welcome;
extern Berth__V1__WorkerJoin worker_join;
extern Berth__V1__WorkerJoin worker_join_with_keeper;
extern Berth__V1__WorkerJoin worker_join_with_parents;
extern Berth__V1__WorkerJoined worker_joined;
extern Berth__V1__WorkerRenew worker_renew;
extern Berth__V1__WorkerRenewed worker_renewed;
extern Berth__V1__WorkerEpoch worker_epoch;
extern Berth__V1__WorkerFenced worker_fenced;
extern Berth__V1__WorkerOrders worker_orders;
extern Berth__V1__WorkerOrders worker_orders_with_force;
extern Berth__V1__WorkerOrders worker_orders_with_deadline;
extern Berth__V1__WorkerOrders worker_orders_with_alone;
extern Berth__V1__WorkerReports worker_reports;
extern Berth__V1__WorkerReports worker_reports_with_shows;
extern Berth__V1__WorkerJoin worker_join_with_suspensions;
extern Berth__V1__WorkerReports worker_reports_with_scopes;
extern Berth__V1__WorkerOrders worker_orders_with_scopes;
extern Berth__V1__WorkerGone worker_gone;
extern Berth__V1__WorkerGoneOk worker_gone_ok;
