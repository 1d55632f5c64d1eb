/* A stand-in for a header of FreeRTOS. Tests only. */
void vTaskDelay(uint32_t ticks);
