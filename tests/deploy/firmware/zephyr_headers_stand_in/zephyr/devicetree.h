/* A stand-in for a header of Zephyr: one UART, whose rate is given on the compiler's command line. Tests only. */
#ifndef DEVICETREE_H
#define DEVICETREE_H

#ifdef CURRENT_SPEED
#define DT_HAS_CHOSEN(name) 1
#else
#define DT_HAS_CHOSEN(name) 0
#define CURRENT_SPEED 0
#endif
#define DT_CHOSEN(name) name
#define DT_PROP_OR(node, property, otherwise) CURRENT_SPEED

#endif
