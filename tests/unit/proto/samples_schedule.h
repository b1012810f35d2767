/* SPDX-License-Identifier: MIT */
/* The samples of schedule.proto; and how a sample is written. */
#pragma once

#include <berth/v1/envelope.pb-c.h>

#define BYTES(text)                                                                                \
    {                                                                                              \
        sizeof(text) - 1, (uint8_t[])                                                              \
        {                                                                                          \
            text                                                                                   \
        }                                                                                          \
    }
#define SET(name, value)       .has_##name = 1, .name = (value)
#define SET_BYTES(name, value) .has_##name = 1, .name = BYTES(value)
#define COLUMN(name, type, ...)                                                                    \
    .n_##name = sizeof((type[]){ __VA_ARGS__ }) / sizeof(type), .name = (type[])                   \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define NAMES(name, ...)      COLUMN(name, ProtobufCBinaryData, __VA_ARGS__)
#define MESSAGE(type)         .base = PROTOBUF_C_MESSAGE_INIT(&berth__v1__##type##__descriptor)
#define ATTEMPT(epoch, count) ((UINT64_C(epoch) << 40) | (count))

extern Berth__V1__ScheduleSet sample_schedule_set;
extern Berth__V1__SchedulePause sample_schedule_pause;
extern Berth__V1__ScheduleRemove sample_schedule_remove;
extern Berth__V1__ScheduleList sample_schedule_list;
extern Berth__V1__Schedules sample_schedules;
